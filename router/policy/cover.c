#include "router/policy/cover.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

enum { KIND, USER, VERB, NAMESPACE, API_GROUP, RESOURCE, SUBRESOURCE, NAME, URL, BOXED, GROUPS = BOXED, DIMENSIONS };

enum {
	VALUES_MAX = 4096,    /* named in one dimension */
	BOXES_MAX = 8192,     /* in one list */
	STEPS_MAX = 3000000,  /* boxes compared, in all questions */
	KIND_RESOURCE = 0,    /* elements of KIND, and the first of others */
	KIND_URL = 1,
	NO_USER = 0,
	NO_SUBRESOURCE = 0,
};

/*
 * A box is one run of words: a bitset for each dimension below BOXED; then the groups of which a request has one (none set:
 * it need not), and those of which it has none.
 */
struct dimension {
	struct strings values;  /* element i + fixed is values[i]; the last element is any other value */
	size_t fixed;           /* elements that no value names */
	size_t first, words;    /* of a box */
};

struct boxes {
	uint64_t *words;
	size_t n, room;
};

struct cover {
	struct dimension dimensions[DIMENSIONS];
	size_t box_words, required, avoided; /* of a box */
	struct boxes *of;                    /* of each selector */
	bool *exact;
	size_t n_rules, n;
	size_t steps;
};

/* ---- elements ---- */

static size_t elements(const struct dimension *d)
{
	return d->fixed + d->values.n + 1;
}

static void name_value(struct dimension *d, struct view text)
{
	if (d->values.n <= VALUES_MAX && !strings_have(&d->values, text))
		strings_add(&d->values, text);
}

static void name_values(struct dimension *d, const struct strings *texts)
{
	for (size_t i = 0; i < texts->n; i++)
		name_value(d, texts->list[i]);
}

static struct view url_prefix(struct view url)
{
	while (url.len && url.ptr[url.len - 1] == '*')
		url.len--;
	return url;
}

/* A pattern as what it means: a resource (or any) with a subresource (or any, or none). */
struct resource_pattern {
	bool any_resource, any_subresource;
	struct view resource, subresource; /* subresource "": there is none */
};

/* At most two ways to read it: "*" followed by a slash and a star has two. */
static int read_pattern(struct view text, struct resource_pattern ret[2])
{
	int n = 0;
	const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
	if (view_eq(text, VIEW("*"))) {
		ret[n++] = (struct resource_pattern){ .any_resource = true, .any_subresource = true };
		return n;
	}
	if (!slash) {
		ret[n++] = (struct resource_pattern){ .resource = text, .subresource = VIEW("") };
		return n;
	}
	struct view before = { text.ptr, (size_t)(slash - text.ptr) }, after = { slash + 1, text.len - before.len - 1 };
	if (view_eq(before, VIEW("*")) && after.len)
		ret[n++] = (struct resource_pattern){ .any_resource = true, .subresource = after };
	if (view_ends(text, VIEW("/*")))
		ret[n++] = (struct resource_pattern){ .resource = { text.ptr, text.len - 2 }, .any_subresource = true };
	if (n == 0 && after.len)
		ret[n++] = (struct resource_pattern){ .resource = before, .subresource = after };
	return n;
}

static void name_entry(struct cover *c, const struct group_resources *entry)
{
	if (!view_eq(entry->group, VIEW("*")))
		name_value(&c->dimensions[API_GROUP], entry->group);
	name_values(&c->dimensions[NAME], &entry->resource_names);
	for (size_t i = 0; i < entry->resources.n; i++) {
		struct resource_pattern patterns[2];
		for (int k = read_pattern(entry->resources.list[i], patterns); k-- > 0;) {
			if (!patterns[k].any_resource)
				name_value(&c->dimensions[RESOURCE], patterns[k].resource);
			if (!patterns[k].any_subresource && patterns[k].subresource.len)
				name_value(&c->dimensions[SUBRESOURCE], patterns[k].subresource);
		}
	}
}

static void name_all(struct cover *c, const struct selector *s)
{
	name_values(&c->dimensions[USER], &s->users);
	name_values(&c->dimensions[VERB], &s->verbs);
	name_values(&c->dimensions[NAMESPACE], &s->namespaces);
	name_values(&c->dimensions[GROUPS], &s->user_groups);
	for (size_t i = 0; i < s->n_resources; i++)
		name_entry(c, &s->resources[i]);
	for (size_t i = 0; i < s->non_resource_urls.n; i++) {
		/* Two elements: the URL itself, and (under the star's name) what goes on from it in a way that nobody names. */
		struct view url = s->non_resource_urls.list[i];
		name_value(&c->dimensions[URL], url_prefix(url));
		name_value(&c->dimensions[URL], url);
	}
}

/* ---- boxes ---- */

static void set_bit(uint64_t *set, size_t bit)
{
	set[bit / 64] |= (uint64_t)1 << bit % 64;
}

static void set_all(const struct dimension *d, uint64_t *box)
{
	for (size_t i = 0; i < elements(d); i++)
		set_bit(box + d->first, i);
}

static void set_value(const struct dimension *d, uint64_t *set, struct view text)
{
	for (size_t i = 0; i < d->values.n; i++)
		if (view_eq(d->values.list[i], text))
			set_bit(set, i + d->fixed);
}

static void restrict_to(const struct dimension *d, uint64_t *box, const struct strings *texts)
{
	if (!texts->n)
		return;
	memset(box + d->first, 0, d->words * sizeof *box);
	for (size_t i = 0; i < texts->n; i++)
		set_value(d, box + d->first, texts->list[i]);
}

static void only_element(const struct dimension *d, uint64_t *box, size_t element)
{
	memset(box + d->first, 0, d->words * sizeof *box);
	set_bit(box + d->first, element);
}

static bool boxes_add(struct cover *c, struct boxes *list, const uint64_t *box)
{
	if (list->n == BOXES_MAX)
		return false;
	if (list->n == list->room) {
		list->room = list->room ? list->room * 2 : 4;
		list->words = mem_resize(list->words, list->room * c->box_words * sizeof *list->words);
	}
	memcpy(list->words + list->n++ * c->box_words, box, c->box_words * sizeof *box);
	return true;
}

static uint64_t *boxes_at(const struct cover *c, const struct boxes *list, size_t i)
{
	return list->words + i * c->box_words;
}

static void add_entry(struct cover *c, struct boxes *list, const uint64_t *base, const struct group_resources *entry)
{
	uint64_t *box = mem_alloc(c->box_words * sizeof *box);
	for (size_t i = 0; i < (entry->resources.n ? entry->resources.n : 1); i++) {
		struct resource_pattern patterns[2] = { { .any_resource = true, .any_subresource = true } };
		int n = entry->resources.n ? read_pattern(entry->resources.list[i], patterns) : 1;
		for (int k = 0; k < n; k++) {
			memcpy(box, base, c->box_words * sizeof *box);
			if (!view_eq(entry->group, VIEW("*")))
				restrict_to(&c->dimensions[API_GROUP], box, &(struct strings){ (struct view *)&entry->group, 1 });
			restrict_to(&c->dimensions[NAME], box, &entry->resource_names);
			if (!patterns[k].any_resource)
				restrict_to(&c->dimensions[RESOURCE], box, &(struct strings){ &patterns[k].resource, 1 });
			if (!patterns[k].any_subresource && patterns[k].subresource.len)
				restrict_to(&c->dimensions[SUBRESOURCE], box, &(struct strings){ &patterns[k].subresource, 1 });
			else if (!patterns[k].any_subresource)
				only_element(&c->dimensions[SUBRESOURCE], box, NO_SUBRESOURCE);
			(void)boxes_add(c, list, box);
		}
	}
	free(box);
}

static void restrict_urls(const struct dimension *d, uint64_t *box, const struct strings *urls)
{
	memset(box + d->first, 0, d->words * sizeof *box);
	for (size_t i = 0; i < urls->n; i++) {
		struct view url = urls->list[i], prefix = url_prefix(url);
		if (view_eq(url, VIEW("*")))
			set_all(d, box);
		set_value(d, box + d->first, url);
		for (size_t k = 0; prefix.len < url.len && k < d->values.n; k++)
			if (view_starts(d->values.list[k], prefix))
				set_bit(box + d->first, k + d->fixed);
	}
}

static void add_boxes(struct cover *c, const struct selector *s, struct boxes *list)
{
	uint64_t *box = mem_zero(c->box_words, sizeof *box);
	for (int d = 0; d < BOXED; d++)
		set_all(&c->dimensions[d], box);
	if (s->users.n || s->user_patterns.n || s->user_groups.n) {
		const struct dimension *users = &c->dimensions[USER];
		if (!s->user_patterns.n)
			restrict_to(users, box, &s->users);
		box[users->first] &= ~((uint64_t)1 << NO_USER);
	}
	restrict_to(&c->dimensions[VERB], box, &s->verbs);
	for (size_t i = 0; i < s->user_groups.n; i++)
		set_value(&c->dimensions[GROUPS], box + c->required, s->user_groups.list[i]);
	if (s->n_resources || s->namespaces.n || s->namespace_patterns.n) {
		only_element(&c->dimensions[KIND], box, KIND_RESOURCE);
		if (!s->namespace_patterns.n)
			restrict_to(&c->dimensions[NAMESPACE], box, &s->namespaces);
	} else if (s->non_resource_urls.n) {
		only_element(&c->dimensions[KIND], box, KIND_URL);
		restrict_urls(&c->dimensions[URL], box, &s->non_resource_urls);
	}
	for (size_t i = 0; i < s->n_resources; i++)
		add_entry(c, list, box, &s->resources[i]);
	if (!s->n_resources)
		(void)boxes_add(c, list, box);
	free(box);
}

/* ---- a box less a box ---- */

static bool is_empty(const uint64_t *set, size_t words)
{
	for (size_t i = 0; i < words; i++)
		if (set[i])
			return false;
	return true;
}

/* Some group is asked for, and all that would do are ruled out. */
static bool groups_impossible(const struct cover *c, const uint64_t *box)
{
	bool asked = false;
	for (size_t i = 0; i < c->dimensions[GROUPS].words; i++) {
		asked = asked || box[c->required + i];
		if (box[c->required + i] & ~box[c->avoided + i])
			return false;
	}
	return asked;
}

static bool disjoint(const struct cover *c, const uint64_t *a, const uint64_t *b)
{
	for (int d = 0; d < BOXED; d++) {
		const struct dimension *dim = &c->dimensions[d];
		uint64_t both = 0;
		for (size_t i = 0; i < dim->words; i++)
			both |= a[dim->first + i] & b[dim->first + i];
		if (!both)
			return true;
	}
	bool asked = false, possible = false;
	for (size_t i = 0; i < c->dimensions[GROUPS].words; i++) {
		asked = asked || b[c->required + i];
		possible = possible || (b[c->required + i] & ~a[c->avoided + i]);
	}
	return asked && !possible;
}

/* Adds what of `a` is not in `b`; `a` is used up. False: too many. */
static bool subtract(struct cover *c, uint64_t *a, const uint64_t *b, struct boxes *out, uint64_t *piece)
{
	if (++c->steps > STEPS_MAX)
		return false;
	if (disjoint(c, a, b))
		return boxes_add(c, out, a);
	for (int d = 0; d < BOXED; d++) {
		const struct dimension *dim = &c->dimensions[d];
		memcpy(piece, a, c->box_words * sizeof *piece);
		for (size_t i = dim->first; i < dim->first + dim->words; i++) {
			piece[i] &= ~b[i];
			a[i] &= b[i];
		}
		if (!is_empty(piece + dim->first, dim->words) && !boxes_add(c, out, piece))
			return false;
	}
	if (is_empty(b + c->required, c->dimensions[GROUPS].words))
		return true;
	for (size_t i = 0; i < c->dimensions[GROUPS].words; i++)
		a[c->avoided + i] |= b[c->required + i];
	return groups_impossible(c, a) || boxes_add(c, out, a);
}

/* *list becomes what of it `rule` does not match. False: too much to say; *list is as it was or less then. */
static bool subtract_rule(struct cover *c, struct boxes *list, size_t rule)
{
	uint64_t *piece = mem_alloc(c->box_words * sizeof *piece);
	bool good = true;
	for (size_t k = 0; good && c->exact[rule] && k < c->of[rule].n; k++) {
		struct boxes rest = { 0 };
		for (size_t i = 0; good && i < list->n; i++)
			good = subtract(c, boxes_at(c, list, i), boxes_at(c, &c->of[rule], k), &rest, piece);
		free(list->words);
		*list = rest;
	}
	free(piece);
	return good;
}

static struct boxes copy_of(struct cover *c, const struct boxes *from)
{
	struct boxes to = { 0 };
	for (size_t i = 0; i < from->n; i++)
		(void)boxes_add(c, &to, boxes_at(c, from, i));
	return to;
}

static bool covered_by(struct cover *c, size_t rule, size_t first, size_t end)
{
	struct boxes rest = copy_of(c, &c->of[rule]);
	bool good = rest.n < BOXES_MAX;
	for (size_t i = first; good && rest.n && i < end; i++)
		good = subtract_rule(c, &rest, i);
	bool covered = good && !rest.n;
	free(rest.words);
	return covered;
}

/* ---- questions ---- */

enum cover_by cover_shadow(struct cover *c, size_t rule, size_t *ret_rule)
{
	if (!c->of[rule].n || !covered_by(c, rule, 0, rule))
		return COVER_NONE;
	for (size_t i = 0; i < rule; i++)
		if (covered_by(c, rule, i, i + 1)) {
			*ret_rule = i;
			return COVER_ONE;
		}
	return COVER_TOGETHER;
}

bool cover_complete(struct cover *c)
{
	static const struct selector everything;
	struct boxes rest = { 0 };
	add_boxes(c, &everything, &rest);
	bool good = true;
	for (size_t i = 0; good && rest.n && i < c->n_rules; i++)
		good = subtract_rule(c, &rest, i);
	bool complete = !good || !rest.n; /* where it cannot be said nobody is warned */
	free(rest.words);
	return complete;
}

static bool meets(struct cover *c, const struct boxes *list, const struct boxes *other)
{
	for (size_t i = 0; i < list->n; i++)
		for (size_t k = 0; k < other->n; k++)
			if (++c->steps <= STEPS_MAX && !disjoint(c, boxes_at(c, list, i), boxes_at(c, other, k)))
				return true;
	return false;
}

void cover_reached(struct cover *c, size_t question, bool *reached)
{
	struct boxes rest = copy_of(c, &c->of[question]);
	bool good = true;
	for (size_t i = 0; i < c->n_rules; i++) {
		reached[i] = good && meets(c, &rest, &c->of[i]);
		good = good && subtract_rule(c, &rest, i);
	}
	free(rest.words);
}

/* ---- life ---- */

static bool has_extras(const struct selector *s)
{
	return s->user_patterns.n || s->namespace_patterns.n || s->clusters.n || s->n_codes || s->stages || s->sample > 1;
}

static bool lay_out(struct cover *c)
{
	c->dimensions[KIND].fixed = 1; /* with the one for the rest: two */
	c->dimensions[USER].fixed = 1;
	c->dimensions[SUBRESOURCE].fixed = 1;
	for (int d = 0; d < DIMENSIONS; d++) {
		struct dimension *dim = &c->dimensions[d];
		if (dim->values.n > VALUES_MAX)
			return false;
		dim->first = c->box_words;
		dim->words = (elements(dim) + 63) / 64;
		c->box_words += dim->words;
	}
	c->required = c->dimensions[GROUPS].first;
	c->avoided = c->box_words;
	c->box_words += c->dimensions[GROUPS].words;
	return true;
}

struct cover *cover_create(const struct selector *const *selectors, size_t n_rules, size_t n)
{
	struct cover *c = mem_zero(1, sizeof *c);
	c->n_rules = n_rules;
	c->n = n;
	c->of = mem_zero(n + 1, sizeof *c->of);
	c->exact = mem_zero(n + 1, sizeof *c->exact);
	for (size_t i = 0; i < n; i++)
		name_all(c, selectors[i]);
	if (!lay_out(c)) {
		cover_destroy(c);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		add_boxes(c, selectors[i], &c->of[i]);
		c->exact[i] = !has_extras(selectors[i]);
	}
	return c;
}

void cover_destroy(struct cover *c)
{
	if (!c)
		return;
	for (int d = 0; d < DIMENSIONS; d++)
		strings_finish(&c->dimensions[d].values);
	for (size_t i = 0; i < c->n; i++)
		free(c->of[i].words);
	free(c->of);
	free(c->exact);
	free(c);
}
