/* webhook-config -- the kubeconfig that kube-apiserver's --audit-webhook-config-file names. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "router/base/buf.h"
#include "router/cmd/cmd.h"
#include "router/event/text.h"

static const char details[] =
	"  -u, --url URL                       where the webhook input listens, as the apiserver reaches it:\n"
	"                                      https://audit-router.example:9880/\n"
	"      --certificate-authority FILE    PEM file with the authority of the webhook's certificate\n"
	"      --client-certificate FILE       PEM file with the apiserver's certificate, where client_ca_file is set\n"
	"      --client-key FILE               and its key\n"
	"      --token-file FILE               file with the token, where token_file is set (the apiserver reads it again)\n"
	"      --tls-server-name NAME          name in the webhook's certificate, where it is not the one in the URL\n"
	"  -h, --help                          this text\n"
	"\n"
	"Files are named as the apiserver's host sees them; none is opened here. Save what is printed and start kube-apiserver with\n"
	"  --audit-webhook-config-file=FILE --audit-policy-file=POLICY\n"
	"and, where events must not wait, --audit-webhook-batch-max-wait=1s.\n";

enum field { CA, CERTIFICATE, KEY, TOKEN, SERVER_NAME, URL, FIELDS };

static const struct option options[] = {
	{ "url", required_argument, NULL, 'u' },
	{ "certificate-authority", required_argument, NULL, CA },
	{ "client-certificate", required_argument, NULL, CERTIFICATE },
	{ "client-key", required_argument, NULL, KEY },
	{ "token-file", required_argument, NULL, TOKEN },
	{ "tls-server-name", required_argument, NULL, SERVER_NAME },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* JSON's quoted text is YAML's too. */
static void add_line(struct buf *out, const char *key, const char *value)
{
	if (!value)
		return;
	buf_addf(out, "    %s: ", key);
	text_add_quoted(out, view_of(value));
	buf_add_byte(out, '\n');
}

static void print(const char *const *fields)
{
	struct buf out = { 0 };
	buf_add_view(&out, VIEW("apiVersion: v1\nkind: Config\npreferences: {}\nclusters:\n- name: audit-router\n  cluster:\n"));
	add_line(&out, "server", fields[URL]);
	add_line(&out, "certificate-authority", fields[CA]);
	add_line(&out, "tls-server-name", fields[SERVER_NAME]);
	if (fields[CERTIFICATE] || fields[TOKEN]) {
		buf_add_view(&out, VIEW("users:\n- name: kube-apiserver\n  user:\n"));
		add_line(&out, "client-certificate", fields[CERTIFICATE]);
		add_line(&out, "client-key", fields[KEY]);
		add_line(&out, "tokenFile", fields[TOKEN]);
	} else {
		buf_add_view(&out, VIEW("users:\n- name: kube-apiserver\n  user: {}\n"));
	}
	buf_add_view(&out, VIEW("contexts:\n- name: audit-router\n  context:\n    cluster: audit-router\n"
				"    user: kube-apiserver\ncurrent-context: audit-router\n"));
	(void)fwrite(out.ptr, 1, out.len, stdout);
	buf_finish(&out);
}

/* What would make the apiserver refuse the file, or post without what it was given; NULL: nothing. */
static const char *objection(const char *const *fields)
{
	bool secure = strncmp(fields[URL], "https://", 8) == 0;
	if (!secure && strncmp(fields[URL], "http://", 7) != 0)
		return "--url starts with https:// or http://";
	if (!fields[CERTIFICATE] != !fields[KEY])
		return "--client-certificate and --client-key: both or none";
	if (!secure && (fields[CA] || fields[CERTIFICATE] || fields[TOKEN] || fields[SERVER_NAME]))
		return "certificates and tokens are for https:// only: over http:// kube-apiserver sends neither";
	return NULL;
}

int cmd_webhook_config(int argc, char **argv)
{
	const char *fields[FIELDS] = { NULL };
	for (int c; (c = getopt_long(argc, argv, "u:h", options, NULL)) != -1;) {
		if (c == 'h')
			return cmd_help(argv[0], details);
		if (c == 'u')
			fields[URL] = optarg;
		else if (c >= 0 && c < URL)
			fields[c] = optarg;
		else
			return cmd_usage(argv[0]);
	}
	if (!fields[URL] || optind < argc)
		return cmd_usage(argv[0]);
	const char *wrong = objection(fields);
	if (wrong) {
		(void)fprintf(stderr, "audit-router webhook-config: %s\n", wrong);
		return EXIT_USAGE;
	}
	print(fields);
	return cmd_end(EXIT_DONE);
}
