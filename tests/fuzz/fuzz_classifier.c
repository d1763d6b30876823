/* Bytes as a table: refused with a reason, or a classifier that puts every event in a class. */
#include <assert.h>
#include <stdint.h>

#include "classifiers/classifier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PROBES = 8, TEXT_MAX = 24 };

/* Texts cut out of the table itself, so that they are the values that its rules name. */
static struct view cut(struct view bytes, uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	if (!bytes.len)
		return (struct view){ NULL, 0 };
	size_t at = (size_t)(*state >> 33) % bytes.len, len = 0;
	while (at + len < bytes.len && len < TEXT_MAX && bytes.ptr[at + len] > ' ' && bytes.ptr[at + len] != ',' &&
		bytes.ptr[at + len] != ']')
		len++;
	return (struct view){ bytes.ptr + at, len };
}

static void probe(const struct classifier *c, struct view bytes, uint64_t *state)
{
	struct attributes a;
	struct event e = { 0 };
	struct view group = cut(bytes, state);
	e.verb = cut(bytes, state);
	e.user.present = *state >> 40 & 1;
	e.user.username = cut(bytes, state);
	e.user.groups = &group;
	e.user.n_groups = 1;
	e.request_uri = cut(bytes, state);
	e.object_ref.present = *state >> 41 & 1;
	e.object_ref.resource = cut(bytes, state);
	e.object_ref.subresource = cut(bytes, state);
	e.object_ref.api_group = cut(bytes, state);
	e.object_ref.namespace_ = cut(bytes, state);
	e.object_ref.name = cut(bytes, state);
	attributes_of(&e, &a);
	struct verdict v = classifier_classify(c, &a);
	assert(v.class_ < AUDIT_CLASSES);
	assert(v.rule < classifier_rules(c));
	assert(classifier_rule_class(c, v.rule) == v.class_);
	assert(classifier_rule_id(c, v.rule)[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct classifier_override o = { "rest", DATA_READ, "fuzz", 1, 1 };
	struct view bytes = { (const char *)data, size };
	struct problems problems = { 0 };
	struct classifier *c = NULL;
	uint64_t state = size;
	int r = classifier_parse(&c, "fuzz", bytes, &o, size % 2, &problems);
	assert((r < 0) == (problems.errors > 0));
	assert((r < 0) == (c == NULL));
	for (int i = 0; c && i < PROBES; i++)
		probe(c, bytes, &state);
	classifier_close(c);
	problems_finish(&problems);
	return 0;
}
