/* k8s.io/apiserver/pkg/apis/audit/v1 Policy, k8s.io/apimachinery's ObjectMeta, and our AuditFilter, as tables. */
#include "router/policy/shape.h"

static const struct shape any = { .kind = SHAPE_ANY, .go = "v1.FieldsV1", .words = "a value" };
static const struct shape text = { .kind = SHAPE_STRING, .go = "string", .words = "text" };
static const struct shape texts = { .kind = SHAPE_LIST, .go = "[]string", .words = "a list of texts", .of = &text };
static const struct shape truth = { .kind = SHAPE_BOOL, .go = "bool", .words = "true or false" };
static const struct shape number = { .kind = SHAPE_INT, .go = "int64", .words = "a whole number" };
static const struct shape moment = { .kind = SHAPE_TIME, .go = "v1.Time", .words = "a time" };
static const struct shape text_map = { .kind = SHAPE_MAP, .go = "map[string]string", .words = "a map of texts", .of = &text };
static const struct shape uid = { .kind = SHAPE_STRING, .go = "types.UID", .words = "text" };
static const struct shape operation = { .kind = SHAPE_STRING, .go = "v1.ManagedFieldsOperationType", .words = "text" };
static const struct shape stage = { .kind = SHAPE_STRING, .go = "v1.Stage", .words = "text" };
static const struct shape stages = { .kind = SHAPE_LIST, .go = "[]v1.Stage", .words = "a list of stages", .of = &stage };
static const struct shape level = { .kind = SHAPE_STRING, .go = "v1.Level", .words = "text" };

static const struct shape_field owner_fields[] = {
	{ "apiVersion", &text, false },
	{ "kind", &text, false },
	{ "name", &text, false },
	{ "uid", &uid, false },
	{ "controller", &truth, true },
	{ "blockOwnerDeletion", &truth, true },
	{ 0 },
};
static const struct shape owner = { .kind = SHAPE_STRUCT, .go = "v1.OwnerReference", .words = "a mapping",
	.name = "OwnerReference", .fields = owner_fields };
static const struct shape owners = { .kind = SHAPE_LIST, .go = "[]v1.OwnerReference", .words = "a list", .of = &owner };

static const struct shape_field managed_fields[] = {
	{ "manager", &text, false },
	{ "operation", &operation, false },
	{ "apiVersion", &text, false },
	{ "time", &moment, true },
	{ "fieldsType", &text, false },
	{ "fieldsV1", &any, true },
	{ "subresource", &text, false },
	{ 0 },
};
static const struct shape managed = { .kind = SHAPE_STRUCT, .go = "v1.ManagedFieldsEntry", .words = "a mapping",
	.name = "ManagedFieldsEntry", .fields = managed_fields };
static const struct shape manageds = { .kind = SHAPE_LIST, .go = "[]v1.ManagedFieldsEntry", .words = "a list", .of = &managed };

static const struct shape_field metadata_fields[] = {
	{ "name", &text, false },
	{ "generateName", &text, false },
	{ "namespace", &text, false },
	{ "selfLink", &text, false },
	{ "uid", &uid, false },
	{ "resourceVersion", &text, false },
	{ "generation", &number, false },
	{ "creationTimestamp", &moment, false },
	{ "deletionTimestamp", &moment, true },
	{ "deletionGracePeriodSeconds", &number, true },
	{ "labels", &text_map, false },
	{ "annotations", &text_map, false },
	{ "ownerReferences", &owners, false },
	{ "finalizers", &texts, false },
	{ "managedFields", &manageds, false },
	{ 0 },
};
static const struct shape metadata = { .kind = SHAPE_STRUCT, .go = "v1.ObjectMeta", .words = "a mapping",
	.name = "ObjectMeta", .fields = metadata_fields };

static const struct shape_field resource_fields[] = {
	{ "group", &text, false },
	{ "resources", &texts, false },
	{ "resourceNames", &texts, false },
	{ 0 },
};
static const struct shape resource = { .kind = SHAPE_STRUCT, .go = "v1.GroupResources",
	.words = "a mapping of group, resources and resourceNames", .name = "GroupResources", .fields = resource_fields };
static const struct shape resources = { .kind = SHAPE_LIST, .go = "[]v1.GroupResources",
	.words = "a list of mappings (group, resources, resourceNames)", .of = &resource };

static const struct shape_field rule_fields[] = {
	{ "level", &level, false },
	{ "users", &texts, false },
	{ "userGroups", &texts, false },
	{ "verbs", &texts, false },
	{ "resources", &resources, false },
	{ "namespaces", &texts, false },
	{ "nonResourceURLs", &texts, false },
	{ "omitStages", &stages, false },
	{ "omitManagedFields", &truth, true },
	{ 0 },
};
static const struct shape rule = { .kind = SHAPE_STRUCT, .go = "v1.PolicyRule", .words = "a mapping", .name = "PolicyRule",
	.fields = rule_fields };
static const struct shape rules = { .kind = SHAPE_LIST, .go = "[]v1.PolicyRule", .words = "a list of rules", .of = &rule };

/* kind and apiVersion were read, and what is wrong with them told, before anything is decoded by these tables. */
static const struct shape_field policy_fields[] = {
	{ "kind", &any, false },
	{ "apiVersion", &any, false },
	{ "metadata", &metadata, false },
	{ "rules", &rules, false },
	{ "omitStages", &stages, false },
	{ "omitManagedFields", &truth, false },
	{ 0 },
};
const struct shape shape_policy = { .kind = SHAPE_STRUCT, .go = "v1.Policy", .words = "a mapping", .name = "Policy",
	.fields = policy_fields };

static const struct shape codes = { .kind = SHAPE_LIST, .go = "", .words = "a list of codes (403, 4xx, 500-599)", .of = &any };

static const struct shape_field filter_rule_fields[] = {
	{ "verdict", &text, false },
	{ "level", &level, false },
	{ "users", &texts, false },
	{ "userPatterns", &texts, false },
	{ "userGroups", &texts, false },
	{ "verbs", &texts, false },
	{ "resources", &resources, false },
	{ "namespaces", &texts, false },
	{ "namespacePatterns", &texts, false },
	{ "nonResourceURLs", &texts, false },
	{ "codes", &codes, false },
	{ "stages", &stages, false },
	{ "clusters", &texts, false },
	{ "sample", &any, false },
	{ 0 },
};
static const struct shape filter_rule = { .kind = SHAPE_STRUCT, .go = "", .words = "a mapping", .name = "", .fields = filter_rule_fields };
static const struct shape filter_rules = { .kind = SHAPE_LIST, .go = "", .words = "a list of rules", .of = &filter_rule };

static const struct shape_field filter_fields[] = {
	{ "kind", &any, false },
	{ "apiVersion", &any, false },
	{ "metadata", &metadata, false },
	{ "rules", &filter_rules, false },
	{ 0 },
};
const struct shape shape_audit_filter = { .kind = SHAPE_STRUCT, .go = "", .words = "a mapping", .name = "AuditFilter",
	.fields = filter_fields };
