import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.resource.*;

/** What kcat cannot do. Admin BOOTSTRAP describe|create|delete|deny|allow|cut TOPIC [KEY=VALUE or TOPIC...]; describe prints KEY=VALUE lines; cut deletes what is before an
 offset of partition 0. */
public class Admin {
	public static void main(String[] args) throws Exception {
		String topic = args[2];
		AclBinding deny = new AclBinding(new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL),
			new AccessControlEntry("User:ANONYMOUS", "*", AclOperation.WRITE, AclPermissionType.DENY));
		try (var admin = org.apache.kafka.clients.admin.Admin.create(Map.of("bootstrap.servers", args[0]))) {
			switch (args[1]) {
			case "describe" -> describe(admin, topic);
			case "create" -> {
				Map<String, String> configs = new HashMap<>();
				for (int i = 3; i < args.length; i++)
					configs.put(args[i].split("=")[0], args[i].split("=")[1]);
				int partitions = Integer.parseInt(configs.getOrDefault("partitions", "1"));
				configs.remove("partitions");
				admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all().get();
			}
			case "delete" -> admin.deleteTopics(Arrays.asList(args).subList(2, args.length)).all().get();
			case "deny" -> admin.createAcls(List.of(deny)).all().get();
			case "allow" -> admin.deleteAcls(List.of(deny.toFilter())).all().get();
			case "cut" -> admin.deleteRecords(Map.of(new TopicPartition(topic, 0),
				RecordsToDelete.beforeOffset(Long.parseLong(args[3])))).all().get();
			default -> throw new IllegalArgumentException(args[1]);
			}
		}
	}

	static void describe(org.apache.kafka.clients.admin.Admin admin, String topic) throws Exception {
		var found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
		System.out.println("partitions=" + found.partitions().size());
		System.out.println("replication=" + found.partitions().get(0).replicas().size());
		var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
		for (var entry : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries())
			System.out.println(entry.name() + "=" + entry.value());
	}
}
