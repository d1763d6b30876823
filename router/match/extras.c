#include "router/match/extras.h"

#include <stdlib.h>
#include <string.h>

#include "router/base/buf.h"

struct extras {
	struct strings users, user_patterns, namespaces, namespace_patterns, clusters, resources;
	struct code_range *codes;
	size_t n_codes;
	unsigned stages;
	uint32_t sample;
};

bool extras_take_users(const struct selector *s)
{
	return s->user_patterns.n > 0;
}

bool extras_take_namespaces(const struct selector *s)
{
	return s->namespace_patterns.n > 0;
}

bool extras_take_resources(const struct group_resources *entry)
{
	for (size_t i = 0; i < entry->resources.n; i++)
		if (entry->resources.list[i].len > EXTRAS_RESOURCE_MAX)
			return true;
	return false;
}

static void copy(struct strings *to, const struct strings *from)
{
	for (size_t i = 0; i < from->n; i++)
		strings_add(to, from->list[i]);
}

struct extras *extras_create(const struct selector *s, const struct group_resources *entry)
{
	bool long_resources = entry && extras_take_resources(entry);
	if (!extras_take_users(s) && !extras_take_namespaces(s) && !long_resources && !s->clusters.n &&
		!s->n_codes && !s->stages && s->sample <= 1)
		return NULL;
	struct extras *x = mem_zero(1, sizeof *x);
	if (extras_take_users(s)) {
		copy(&x->users, &s->users);
		copy(&x->user_patterns, &s->user_patterns);
	}
	if (extras_take_namespaces(s)) {
		copy(&x->namespaces, &s->namespaces);
		copy(&x->namespace_patterns, &s->namespace_patterns);
	}
	if (long_resources)
		copy(&x->resources, &entry->resources);
	copy(&x->clusters, &s->clusters);
	if (s->n_codes) {
		x->codes = mem_alloc(s->n_codes * sizeof *x->codes);
		memcpy(x->codes, s->codes, s->n_codes * sizeof *x->codes);
		x->n_codes = s->n_codes;
	}
	x->stages = s->stages;
	x->sample = s->sample;
	return x;
}

void extras_destroy(struct extras *x)
{
	if (!x)
		return;
	strings_finish(&x->users);
	strings_finish(&x->user_patterns);
	strings_finish(&x->namespaces);
	strings_finish(&x->namespace_patterns);
	strings_finish(&x->clusters);
	strings_finish(&x->resources);
	free(x->codes);
	free(x);
}

/* `*` is any run of bytes, none included. Going back to the last star alone is enough. */
static bool pattern_matches(struct view pattern, struct view text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
	while (t < text.len) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star = p++;
			resume = t;
		} else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.ptr[p] == '*')
		p++;
	return p == pattern.len;
}

static bool any_matches(const struct strings *exact, const struct strings *patterns, struct view text)
{
	if (strings_have(exact, text))
		return true;
	for (size_t i = 0; i < patterns->n; i++)
		if (pattern_matches(patterns->list[i], text))
			return true;
	return false;
}

/* RESOURCE, or RESOURCE/SUB where there is a subresource. */
static bool combined_eq(struct view pattern, const struct attributes *a)
{
	if (!a->subresource.len)
		return view_eq(pattern, a->resource);
	return pattern.len == a->resource.len + 1 + a->subresource.len && view_starts(pattern, a->resource) &&
	       pattern.ptr[a->resource.len] == '/' && view_ends(pattern, a->subresource);
}

static bool resource_matches(struct view pattern, const struct attributes *a)
{
	if (view_eq(pattern, VIEW("*")) || combined_eq(pattern, a))
		return true;
	if (a->subresource.len && view_starts(pattern, VIEW("*/")) &&
		view_eq(a->subresource, (struct view){ pattern.ptr + 2, pattern.len - 2 }))
		return true;
	return view_ends(pattern, VIEW("/*")) &&
	       view_eq(a->resource, (struct view){ pattern.ptr, pattern.len - 2 });
}

static bool any_resource(const struct strings *patterns, const struct attributes *a)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (resource_matches(patterns->list[i], a))
			return true;
	return false;
}

static bool any_code(const struct extras *x, int32_t code)
{
	for (size_t i = 0; i < x->n_codes; i++)
		if (code >= x->codes[i].first && code <= x->codes[i].last)
			return true;
	return false;
}

/* FNV-1a with a finish that spreads it: the same on every machine and in every version. */
static uint64_t sample_hash(struct view audit_id)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < audit_id.len; i++)
		h = (h ^ (unsigned char)audit_id.ptr[i]) * 0x100000001b3u;
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	return h ^ h >> 33;
}

bool extras_match(const struct extras *x, const struct attributes *a)
{
	if (x->stages && !(x->stages >> a->stage & 1))
		return false;
	if (x->n_codes && !any_code(x, a->code))
		return false;
	if (x->clusters.n && !strings_have(&x->clusters, a->cluster))
		return false;
	if (x->user_patterns.n && !(a->has_user && any_matches(&x->users, &x->user_patterns, a->user)))
		return false;
	if (x->namespace_patterns.n && !any_matches(&x->namespaces, &x->namespace_patterns, a->namespace_))
		return false;
	if (x->resources.n && !any_resource(&x->resources, a))
		return false;
	return x->sample <= 1 || sample_hash(a->audit_id) % x->sample == 0;
}
