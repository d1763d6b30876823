#include "router/input/webhook_scan.h"

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A bit for each byte of a block, the first the lowest. */
struct marks {
	uint64_t quotes, backslashes, opens, closes, newlines, ks;
};

#if defined(__SSE2__)
static inline uint64_t equal(__m128i bytes, char byte)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte)));
}

static inline struct marks look(const char *p)
{
	struct marks m = { 0 };
	for (unsigned i = 0; i < ITEM_BLOCK; i += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20)); /* [ as {, ] as } */
		m.quotes |= equal(bytes, '"') << i;
		m.backslashes |= equal(bytes, '\\') << i;
		m.opens |= equal(folded, '{') << i;
		m.closes |= equal(folded, '}') << i;
		m.newlines |= equal(bytes, '\n') << i;
		m.ks |= equal(bytes, 'k') << i;
	}
	return m;
}
#else
static inline struct marks look(const char *p)
{
	struct marks m = { 0 };
	for (unsigned i = 0; i < ITEM_BLOCK; i++) {
		char c = p[i];
		m.quotes |= (uint64_t)(c == '"') << i;
		m.backslashes |= (uint64_t)(c == '\\') << i;
		m.opens |= (uint64_t)(c == '{' || c == '[') << i;
		m.closes |= (uint64_t)(c == '}' || c == ']') << i;
		m.newlines |= (uint64_t)(c == '\n') << i;
		m.ks |= (uint64_t)(c == 'k') << i;
	}
	return m;
}
#endif

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2,bmi,pclmul,popcnt")))

static inline WIDE uint64_t equal_wide(__m256i low, __m256i high, char byte)
{
	const __m256i wanted = _mm256_set1_epi8(byte);
	uint64_t first = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wanted));
	return first | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wanted)) << 32;
}

/* As look(), by 32 bytes. */
static inline WIDE void look_wide(const char *p, struct marks *ret_marks)
{
	const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
	const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
	const __m256i fold = _mm256_set1_epi8(0x20);
	const __m256i low_folded = _mm256_or_si256(low, fold), high_folded = _mm256_or_si256(high, fold);
	*ret_marks = (struct marks){
		.quotes = equal_wide(low, high, '"'),
		.backslashes = equal_wide(low, high, '\\'),
		.opens = equal_wide(low_folded, high_folded, '{'),
		.closes = equal_wide(low_folded, high_folded, '}'),
		.newlines = equal_wide(low, high, '\n'),
		.ks = equal_wide(low, high, 'k'),
	};
}

/* As parity_up_to(). */
static inline WIDE void parity_wide(uint64_t *bits)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)*bits), _mm_set1_epi8(-1), 0);
	*bits = (uint64_t)_mm_cvtsi128_si64(product);
}
#endif

static inline void look_plain(const char *p, struct marks *ret_marks)
{
	*ret_marks = look(p);
}

/* The bytes that a backslash before them escapes; runs of backslashes escape each other. */
static inline uint64_t escaped_of(uint64_t backslashes, bool *escaped)
{
	static const uint64_t even = 0x5555555555555555ull;
	uint64_t first = *escaped, sum;
	if (!backslashes) {
		*escaped = false;
		return first;
	}
	backslashes &= ~first;
	uint64_t follows = backslashes << 1 | first;
	uint64_t odd_starts = backslashes & ~even & ~follows;
	*escaped = __builtin_add_overflow(odd_starts, backslashes, &sum);
	return (even ^ sum << 1) & follows;
}

/* Each bit becomes the parity of those up to it. */
static inline void parity_up_to(uint64_t *bits)
{
	for (unsigned shift = 1; shift < ITEM_BLOCK; shift *= 2)
		*bits ^= *bits << shift;
}

/* `at` stands behind an opening quote. What the bytes in hand do not show may be. */
static bool may_be_kind(const char *at, const char *end)
{
	static const char rest[] = "kind\"";
	size_t n = (size_t)(end - at) < sizeof rest - 1 ? (size_t)(end - at) : sizeof rest - 1;
	return memcmp(at, rest, n) == 0;
}

/* The brackets of a block, in their order. Returns the place behind the item's last one, or 0. */
static inline __attribute__((always_inline)) unsigned take_brackets(struct item_scan *s, const struct marks *m, uint64_t outside,
	uint64_t names, const char *p, const char *end)
{
	const uint64_t opens = m->opens & outside, closes = m->closes & outside;
	unsigned closed = (unsigned)__builtin_popcountll(closes);
	if (s->depth > closed + (names != 0)) { /* too deep for the item to end here, or for a name at its own level */
		s->depth += (unsigned)__builtin_popcountll(opens) - closed;
		return 0;
	}
	for (uint64_t left = opens | closes | names; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		uint64_t bit = 1ull << i;
		if (names & bit)
			s->maybe_kind = s->maybe_kind || (s->depth == 1 && may_be_kind(p + i, end));
		else if (m->opens & bit)
			s->depth++;
		else if (s->depth && --s->depth == 0)
			return i + 1;
	}
	return 0;
}

static inline __attribute__((always_inline)) size_t scan_blocks(struct item_scan *s, const char *bytes, size_t len, bool *ret_ended,
	void (*look_at)(const char *, struct marks *), void (*parity)(uint64_t *))
{
	const char *p = bytes, *end = bytes + len;
	bool begun = false; /* the last byte before the block was an opening quote */
	*ret_ended = false;
	s->maybe_kind = s->maybe_kind || (s->in_string && s->depth == 1);
	for (; end - p >= ITEM_BLOCK; p += ITEM_BLOCK) {
		struct marks m;
		look_at(p, &m);
		bool escaped = s->escaped;
		uint64_t quotes = m.quotes & ~escaped_of(m.backslashes, &escaped);
		uint64_t inside = quotes;
		parity(&inside);
		inside ^= s->in_string ? ~0ull : 0; /* opening quotes, not the closing ones */
		if ((m.backslashes & ~inside) | (m.newlines & inside))
			break;
		uint64_t opening = quotes & inside;
		unsigned at_end =
			take_brackets(s, &m, ~inside, (opening << 1 | begun) & m.ks, p, end);
		uint64_t before_end = at_end && at_end < ITEM_BLOCK ? (1ull << at_end) - 1 : ~0ull;
		s->newline = s->newline || (m.newlines & before_end);
		if (at_end) {
			*ret_ended = true;
			s->in_string = s->escaped = false;
			return (size_t)(p - bytes) + at_end;
		}
		s->in_string = inside >> (ITEM_BLOCK - 1);
		s->escaped = escaped;
		begun = opening >> (ITEM_BLOCK - 1);
	}
	s->maybe_kind = s->maybe_kind || (begun && s->depth == 1);
	return (size_t)(p - bytes);
}

#if defined(__x86_64__)
static WIDE size_t scan_wide(struct item_scan *s, const char *bytes, size_t len, bool *ret_ended)
{
	return scan_blocks(s, bytes, len, ret_ended, look_wide, parity_wide);
}

static bool is_wide(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("pclmul") &&
	       __builtin_cpu_supports("popcnt");
}
#endif

size_t item_scan_plain(struct item_scan *s, const char *bytes, size_t len, bool *ret_ended)
{
	return scan_blocks(s, bytes, len, ret_ended, look_plain, parity_up_to);
}

size_t item_scan(struct item_scan *s, const char *bytes, size_t len, bool *ret_ended)
{
#if defined(__x86_64__)
	if (is_wide())
		return scan_wide(s, bytes, len, ret_ended);
#endif
	return item_scan_plain(s, bytes, len, ret_ended);
}

/* The end of the string whose first byte is at `at`: its closing quote, or the end. */
static const char *string_end(const char *at, const char *end)
{
	for (; at < end && *at != '"'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at;
}

bool item_has_kind(struct view item)
{
	const char *end = item.ptr + item.len;
	unsigned depth = 0;
	bool key = false, kind = false; /* is a key next; was the last one it */
	for (const char *at = item.ptr; at < end; at++) {
		if (*at == '"') {
			const char *text = at + 1;
			at = string_end(text, end);
			if (depth == 1 && !key && kind)
				return true;
			if (depth == 1 && key)
				kind = view_eq(
					(struct view){ text, (size_t)(at - text) }, VIEW("kind"));
		} else if (*at == '{' || *at == '[') {
			depth++;
			key = depth == 1;
		} else if (*at == '}' || *at == ']') {
			depth -= depth > 0;
		} else if (depth == 1 && (*at == ',' || *at == ':')) {
			key = *at == ',';
		}
	}
	return false;
}

const char *string_stop(const char *at, const char *end)
{
#if defined(__SSE2__)
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), newline = _mm_set1_epi8('\n');
	for (; end - at >= 16; at += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote),
			_mm_or_si128(_mm_cmpeq_epi8(v, backslash), _mm_cmpeq_epi8(v, newline)));
		int mask = _mm_movemask_epi8(hit);
		if (mask)
			return at + __builtin_ctz((unsigned)mask);
	}
#endif
	while (at < end && *at != '"' && *at != '\\' && *at != '\n')
		at++;
	return at;
}
