/*
 * A term is a rule, or one entry of a rule's `resources`. Every dimension that some term restricts has `open`, the set
 * of terms that do not restrict it, and a map from a value to the set of terms that allow it (`open` included, so that
 * one lookup yields one set). What an event is allowed by in all dimensions is the AND; terms are in the order of the
 * rules, so the lowest bit is the first rule that matches.
 */
#include "router/match/matcher.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "router/base/buf.h"
#include "router/match/extras.h"
#include "router/match/value_map.h"

/* Sets are walked in blocks of words, each block through all dimensions: a set is whole blocks. */
enum { BLOCK = 4, WORDS_MAX = MATCHER_TERMS_MAX / 64 };
static_assert(WORDS_MAX % BLOCK == 0, "sets are whole blocks");

enum dimension {
	USER,
	GROUP,
	VERB,
	NAMESPACE,
	API_GROUP,
	RESOURCE, /* see also by_subresource, by_resource */
	NAME,
	URL,      /* see also prefixes */
	DIMENSIONS
};

struct matcher {
	uint32_t words, n_terms;
	struct dimension_sets {
		struct value_map map;
		uint64_t *open;
	} dimensions[DIMENSIONS];
	struct value_map by_subresource; /* the x of a pattern with a star in front of its slash */
	struct value_map by_resource;    /* the x of a pattern with a star behind its slash */
	struct value_map prefixes;       /* of URLs */
	uint32_t *prefix_lens;           /* the distinct ones, ascending */
	size_t n_prefix_lens;
	uint64_t *kinds[2];              /* terms that allow a non-resource request, a resource request */
	uint32_t *rules;                 /* of each term */
	struct extras **extras;          /* of each term; most are NULL */
};

static void set_bit(uint64_t *set, uint32_t term)
{
	set[term / 64] |= (uint64_t)1 << term % 64;
}

static bool is_resource_rule(const struct selector *s)
{
	return s->n_resources || s->namespaces.n || s->namespace_patterns.n;
}

/* Every value of `values` allows the term; no values: all do. */
static void restrict_to(struct matcher *m, enum dimension d, const struct strings *values, uint32_t term)
{
	struct dimension_sets *sets = &m->dimensions[d];
	if (!values || !values->n) {
		set_bit(sets->open, term);
		return;
	}
	for (size_t i = 0; i < values->n; i++)
		value_map_set(&sets->map, values->list[i], term, MATCHER_BYTES_MAX);
}

static void add_resource_pattern(struct matcher *m, struct view pattern, uint32_t term)
{
	value_map_set(&m->dimensions[RESOURCE].map, pattern, term, MATCHER_BYTES_MAX);
	if (view_starts(pattern, VIEW("*/")))
		value_map_set(&m->by_subresource, (struct view){ pattern.ptr + 2, pattern.len - 2 }, term, MATCHER_BYTES_MAX);
	if (view_ends(pattern, VIEW("/*")))
		value_map_set(&m->by_resource, (struct view){ pattern.ptr, pattern.len - 2 }, term, MATCHER_BYTES_MAX);
}

static void add_resources(struct matcher *m, const struct group_resources *entry, uint32_t term)
{
	static const struct view star = { "*", 1 };
	struct dimension_sets *sets = &m->dimensions[RESOURCE];
	if (!entry || !entry->resources.n || strings_have(&entry->resources, star) ||
		extras_take_resources(entry)) {
		set_bit(sets->open, term);
		return;
	}
	for (size_t i = 0; i < entry->resources.n; i++)
		add_resource_pattern(m, entry->resources.list[i], term);
}

static void add_api_group(struct matcher *m, const struct group_resources *entry, uint32_t term)
{
	struct view group = entry ? entry->group : VIEW("*");
	struct strings one = { &group, 1 };
	restrict_to(m, API_GROUP, view_eq(group, VIEW("*")) ? NULL : &one, term);
}

static void add_prefix(struct matcher *m, struct view prefix, uint32_t term)
{
	value_map_set(&m->prefixes, prefix, term, MATCHER_BYTES_MAX);
	size_t at = 0;
	while (at < m->n_prefix_lens && m->prefix_lens[at] < prefix.len)
		at++;
	if (at < m->n_prefix_lens && m->prefix_lens[at] == prefix.len)
		return;
	m->prefix_lens = mem_resize(m->prefix_lens, (m->n_prefix_lens + 1) * sizeof *m->prefix_lens);
	memmove(m->prefix_lens + at + 1, m->prefix_lens + at, (m->n_prefix_lens - at) * sizeof *m->prefix_lens);
	m->prefix_lens[at] = (uint32_t)prefix.len;
	m->n_prefix_lens++;
}

static void add_urls(struct matcher *m, const struct strings *urls, uint32_t term)
{
	struct dimension_sets *sets = &m->dimensions[URL];
	if (!urls->n) {
		set_bit(sets->open, term);
		return;
	}
	for (size_t i = 0; i < urls->n; i++) {
		struct view url = urls->list[i];
		value_map_set(&sets->map, url, term, MATCHER_BYTES_MAX);
		if (!view_ends(url, VIEW("*")))
			continue;
		while (view_ends(url, VIEW("*")))
			url.len--;
		if (url.len)
			add_prefix(m, url, term);
		else
			set_bit(sets->open, term);
	}
}

static void add_term(struct matcher *m, const struct selector *s, uint32_t rule, const struct group_resources *entry)
{
	static const struct strings none = { 0 };
	uint32_t term = m->n_terms++;
	m->rules[term] = rule;
	restrict_to(m, USER, extras_take_users(s) ? NULL : &s->users, term);
	restrict_to(m, GROUP, &s->user_groups, term);
	restrict_to(m, VERB, &s->verbs, term);
	restrict_to(m, NAMESPACE, extras_take_namespaces(s) ? NULL : &s->namespaces, term);
	add_api_group(m, entry, term);
	add_resources(m, entry, term);
	restrict_to(m, NAME, entry && entry->resources.n ? &entry->resource_names : NULL, term);
	bool resource_rule = is_resource_rule(s), url_rule = !resource_rule && s->non_resource_urls.n;
	add_urls(m, url_rule ? &s->non_resource_urls : &none, term);
	if (!resource_rule)
		set_bit(m->kinds[0], term);
	if (!url_rule)
		set_bit(m->kinds[1], term);
	m->extras[term] = extras_create(s, entry);
}

static size_t count_terms(const struct selector *const *selectors, size_t n)
{
	size_t terms = 0;
	for (size_t i = 0; i < n && terms <= MATCHER_TERMS_MAX; i++)
		terms += selectors[i]->n_resources ? selectors[i]->n_resources : 1;
	return terms;
}

static struct matcher *allocate(size_t terms)
{
	struct matcher *m = mem_zero(1, sizeof *m);
	m->words = (uint32_t)(terms / (64 * BLOCK) + (terms % (64 * BLOCK) != 0)) * BLOCK;
	if (!m->words)
		m->words = BLOCK;
	for (int d = 0; d < DIMENSIONS; d++) {
		m->dimensions[d].map.words = m->words;
		m->dimensions[d].open = mem_zero(m->words, sizeof(uint64_t));
	}
	m->by_subresource.words = m->by_resource.words = m->prefixes.words = m->words;
	m->kinds[0] = mem_zero(m->words, sizeof(uint64_t));
	m->kinds[1] = mem_zero(m->words, sizeof(uint64_t));
	m->rules = mem_zero(terms + 1, sizeof *m->rules);
	m->extras = mem_zero(terms + 1, sizeof(struct extras *));
	return m;
}

static bool is_full(const struct matcher *m)
{
	bool full = m->by_subresource.full || m->by_resource.full || m->prefixes.full;
	for (int d = 0; d < DIMENSIONS; d++)
		full |= m->dimensions[d].map.full;
	return full;
}

static void open_maps(struct matcher *m)
{
	for (int d = 0; d < DIMENSIONS; d++)
		value_map_set_all(&m->dimensions[d].map, m->dimensions[d].open);
	value_map_set_all(&m->by_subresource, m->dimensions[RESOURCE].open);
	value_map_set_all(&m->by_resource, m->dimensions[RESOURCE].open);
	value_map_set_all(&m->prefixes, m->dimensions[URL].open);
}

int matcher_create(struct matcher **ret_matcher, const struct selector *const *selectors, size_t n)
{
	size_t terms = count_terms(selectors, n);
	if (terms > MATCHER_TERMS_MAX)
		return -E2BIG;
	struct matcher *m = allocate(terms);
	for (uint32_t i = 0; i < n; i++) {
		const struct selector *s = selectors[i];
		if (!s->n_resources)
			add_term(m, s, i, NULL);
		for (size_t j = 0; j < s->n_resources; j++)
			add_term(m, s, i, &s->resources[j]);
	}
	assert(m->n_terms == terms);
	if (is_full(m)) {
		matcher_destroy(m);
		return -E2BIG;
	}
	open_maps(m);
	*ret_matcher = m;
	return 0;
}

void matcher_destroy(struct matcher *m)
{
	if (!m)
		return;
	for (int d = 0; d < DIMENSIONS; d++) {
		value_map_finish(&m->dimensions[d].map);
		free(m->dimensions[d].open);
	}
	value_map_finish(&m->by_subresource);
	value_map_finish(&m->by_resource);
	value_map_finish(&m->prefixes);
	for (uint32_t i = 0; i < m->n_terms; i++)
		extras_destroy(m->extras[i]);
	free(m->prefix_lens);
	free(m->kinds[0]);
	free(m->kinds[1]);
	free(m->rules);
	free(m->extras);
	free(m);
}

/*
 * One event's question. The set of a dimension is looked up when some term that is still in the running restricts it,
 * and then kept: most events are decided by few dimensions.
 */
struct query {
	const struct matcher *m;
	const struct attributes *a;
	const uint64_t *sets[DIMENSIONS]; /* NULL: not looked up yet */
	uint64_t room[2][WORDS_MAX];      /* for groups, and for resource or URL: where several values count */
};

struct any_of {
	const uint64_t *set; /* NULL: nothing found so far */
	uint64_t *room;
};

static inline void any_add(const struct matcher *m, struct any_of *any, const uint64_t *set)
{
	if (!set)
		return;
	if (!any->set) {
		any->set = set;
		return;
	}
	for (uint32_t w = 0; w < m->words; w++)
		any->room[w] = any->set[w] | set[w];
	any->set = any->room;
}

static const uint64_t *find_group(struct query *q)
{
	struct any_of any = { NULL, q->room[0] };
	for (uint32_t i = 0; q->a->has_user && i < q->a->n_groups; i++)
		any_add(q->m, &any, value_map_find(&q->m->dimensions[GROUP].map, q->a->groups[i]));
	return any.set;
}

static const uint64_t *find_combined(const struct matcher *m, struct view resource, struct view sub)
{
	char text[EXTRAS_RESOURCE_MAX];
	const struct value_map *map = &m->dimensions[RESOURCE].map;
	size_t len = resource.len + 1 + sub.len;
	if (!sub.len)
		return value_map_find(map, resource);
	if (len > map->len_max || len > sizeof text)
		return NULL;
	memcpy(text, resource.ptr ? resource.ptr : "", resource.len);
	text[resource.len] = '/';
	memcpy(text + resource.len + 1, sub.ptr, sub.len);
	return value_map_find(map, (struct view){ text, len });
}

static const uint64_t *find_resource(struct query *q)
{
	const struct matcher *m = q->m;
	const struct attributes *a = q->a;
	struct any_of any = { NULL, q->room[1] };
	any_add(m, &any, find_combined(m, a->resource, a->subresource));
	any_add(m, &any, value_map_find(&m->by_resource, a->resource));
	if (a->subresource.len)
		any_add(m, &any, value_map_find(&m->by_subresource, a->subresource));
	return any.set;
}

static const uint64_t *find_url(struct query *q)
{
	const struct matcher *m = q->m;
	struct view path = q->a->path;
	struct any_of any = { NULL, q->room[1] };
	any_add(m, &any, value_map_find(&m->dimensions[URL].map, path));
	for (size_t i = 0; i < m->n_prefix_lens && m->prefix_lens[i] <= path.len; i++)
		any_add(m, &any, value_map_find(&m->prefixes, (struct view){ path.ptr, m->prefix_lens[i] }));
	return any.set;
}

static inline __attribute__((always_inline)) const uint64_t *find(struct query *q, enum dimension d)
{
	const struct attributes *a = q->a;
	const struct value_map *map = &q->m->dimensions[d].map;
	switch (d) {
	case USER:
		return a->has_user ? value_map_find(map, a->user) : NULL;
	case GROUP:
		return find_group(q);
	case VERB:
		return value_map_find(map, a->verb);
	case NAMESPACE:
		return value_map_find(map, a->namespace_);
	case API_GROUP:
		return value_map_find(map, a->api_group);
	case RESOURCE:
		return find_resource(q);
	case NAME:
		return value_map_find(map, a->name);
	case URL:
		return find_url(q);
	case DIMENSIONS:
		break;
	}
	assert(false);
	return NULL;
}

/* Inlined with a constant dimension, so that the switch above is decided by the compiler. */
static inline __attribute__((always_inline)) void narrow(struct query *q, enum dimension d, uint32_t word,
	uint64_t bits[static BLOCK])
{
	const uint64_t *open = q->m->dimensions[d].open;
	uint64_t restricted = 0;
	for (int i = 0; i < BLOCK; i++)
		restricted |= bits[i] & ~open[word + i];
	if (!restricted)
		return;
	if (!q->sets[d]) {
		const uint64_t *set = find(q, d);
		q->sets[d] = set ? set : open;
	}
	for (int i = 0; i < BLOCK; i++)
		bits[i] &= q->sets[d][word + i];
}

/* The terms of this block that match; the most telling dimensions first. */
static inline void terms_of(struct query *q, uint32_t word, uint64_t bits[static BLOCK])
{
	memcpy(bits, q->m->kinds[q->a->is_resource] + word, BLOCK * sizeof *bits);
	narrow(q, VERB, word, bits);
	if (q->a->is_resource) {
		narrow(q, RESOURCE, word, bits);
		narrow(q, API_GROUP, word, bits);
		narrow(q, NAMESPACE, word, bits);
		narrow(q, NAME, word, bits);
	} else {
		narrow(q, URL, word, bits);
	}
	narrow(q, USER, word, bits);
	narrow(q, GROUP, word, bits);
}

/* The first of these terms whose extras, if it has any, match too. */
static int first_of(const struct matcher *m, uint32_t word, uint64_t bits, const struct attributes *a)
{
	for (; bits; bits &= bits - 1) {
		uint32_t term = word * 64 + (uint32_t)__builtin_ctzll(bits);
		if (!m->extras[term] || extras_match(m->extras[term], a))
			return (int)m->rules[term];
	}
	return MATCHER_NONE;
}

int matcher_first(const struct matcher *m, const struct attributes *a)
{
	struct query q;
	q.m = m;
	q.a = a;
	memset(q.sets, 0, sizeof q.sets);
	for (uint32_t w = 0; w < m->words; w += BLOCK) {
		uint64_t bits[BLOCK];
		terms_of(&q, w, bits);
		for (uint32_t i = 0; i < BLOCK; i++) {
			int rule = bits[i] ? first_of(m, w + i, bits[i], a) : MATCHER_NONE;
			if (rule != MATCHER_NONE)
				return rule;
		}
	}
	return MATCHER_NONE;
}
