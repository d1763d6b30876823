/* Names of files: which log each belongs to, and the order of one log's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "router/input/chain.h"

static const struct row {
	const char *path, *folder, *live;
	enum chain_kind kind;
	const char *mark;
	bool packed;
} rows[] = {
	{ "/var/log/audit.log", "/var/log/", "audit.log", CHAIN_LIVE, "", false },
	{ "audit.log", "", "audit.log", CHAIN_LIVE, "", false },
	{ "/audit", "/", "audit", CHAIN_LIVE, "", false },
	{ "/a/audit-2026-11-21T21-09-08.438.log", "/a/", "audit.log", CHAIN_STAMPED, "2026-11-21T21-09-08.438", false },
	{ "/a/audit-2026-11-21T21-09-08.438.log.gz", "/a/", "audit.log", CHAIN_STAMPED, "2026-11-21T21-09-08.438", true },
	{ "/a/audit-2026-11-21T21-09-08.438.log.zst", "/a/", "audit.log", CHAIN_STAMPED, "2026-11-21T21-09-08.438", true },
	{ "/a/audit-2026-11-21T21-09-08.438", "/a/", "audit", CHAIN_STAMPED, "2026-11-21T21-09-08.438", false },
	{ "/a/my-kube-audit.v1-2026-11-21T21-09-08.438.json", "/a/", "my-kube-audit.v1.json", CHAIN_STAMPED,
		"2026-11-21T21-09-08.438", false },
	{ "/a/audit-2026-11-21T21-09-08.438.log.bak", "/a/", "audit-2026-11-21T21-09-08.438.log.bak", CHAIN_LIVE, "", false },
	{ "/a/audit-2026-11-21T21-09-08.43.log", "/a/", "audit-2026-11-21T21-09-08.43.log", CHAIN_LIVE, "", false },
	{ "/a/audit-2026-11-21.log", "/a/", "audit-2026-11-21.log", CHAIN_LIVE, "", false },
	{ "/a/audit.log.1", "/a/", "audit.log", CHAIN_NUMBERED, "1", false },
	{ "/a/audit.log.12.gz", "/a/", "audit.log", CHAIN_NUMBERED, "12", true },
	{ "/a/audit.log-1", "/a/", "audit.log-1", CHAIN_LIVE, "", false },
	{ "/a/audit.log.1234", "/a/", "audit.log.1234", CHAIN_LIVE, "", false },
	{ "/a/audit.log-20261121", "/a/", "audit.log", CHAIN_DATED, "20261121", false },
	{ "/a/audit.log.20261121.gz", "/a/", "audit.log", CHAIN_DATED, "20261121", true },
	{ "/a/audit.log-20261121-1795300000", "/a/", "audit.log", CHAIN_DATED, "20261121-1795300000", false },
	{ "/a/audit.log.gz", "/a/", "audit.log", CHAIN_LIVE, "", true },
	{ "/a/.gz", "/a/", ".gz", CHAIN_LIVE, "", false },
	{ "/a/.1", "/a/", ".1", CHAIN_LIVE, "", false },
	{ "/a/20261121", "/a/", "20261121", CHAIN_LIVE, "", false },
	{ "/a/-20261121", "/a/", "-20261121", CHAIN_LIVE, "", false },
	{ "/a/", "/a/", "", CHAIN_LIVE, "", false },
};

static void names_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct chain_name n = chain_parse(row->path);
		print_message("# %s\n", row->path);
		assert_true(view_eq(n.folder, view_of(row->folder)));
		assert_string_equal(n.live, row->live);
		assert_int_equal(n.kind, row->kind);
		assert_true(view_eq(n.mark, view_of(row->mark)));
		assert_int_equal(n.packed, row->packed);
	}
}

/* Each written before the next; all of /b/ is after all of /a/. */
static const char *const ordered[] = {
	"/a/audit.log.100", "/a/audit.log.12", "/a/audit.log.9", "/a/audit.log.1", "/a/audit.log-20251231",
	"/a/audit.log-20260101", "/a/audit.log-20260101-1767300000", "/a/audit-2025-11-21T21-09-08.438.log",
	"/a/audit-2026-01-01T00-00-00.000.log", "/a/audit-2026-01-01T00-00-00.001.log.gz", "/a/audit.log", "/a/other.log.2",
	"/a/other.log", "/b/audit-2020-01-01T00-00-00.000.log", "/b/audit.log",
};

static void files_of_a_log_are_in_the_order_of_their_writing(void **state)
{
	enum { N = sizeof ordered / sizeof *ordered };
	(void)state;
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			struct chain_name a = chain_parse(ordered[i]), b = chain_parse(ordered[k]);
			int c = chain_compare(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
			assert_int_equal(chain_same_file(&a, &b), i == k);
		}
}

static void packed_and_plain_are_one_file(void **state)
{
	struct chain_name a = chain_parse("/a/audit.log.1"), b = chain_parse("/a/audit.log.1.gz"), c = chain_parse("/b/audit.log.1");
	(void)state;
	assert_true(chain_same_file(&a, &b));
	assert_int_equal(chain_compare(&a, &b), 0);
	assert_false(chain_same_log(&a, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_taken_apart),
		cmocka_unit_test(files_of_a_log_are_in_the_order_of_their_writing),
		cmocka_unit_test(packed_and_plain_are_one_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
