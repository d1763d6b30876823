#include "router/base/crc32c.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

enum { SLICES = 8 };
static const uint32_t polynomial = 0x82f63b78; /* bits reversed: the lowest is the highest power */

/* table[k][b] is the CRC of the byte b followed by k zero bytes, so that eight bytes are eight independent look-ups. */
static uint32_t table[SLICES][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
		table[0][b] = crc;
	}
	for (int k = 1; k < SLICES; k++)
		for (uint32_t b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

uint32_t crc32c_add_by_table(uint32_t crc, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	(void)pthread_once(&table_once, table_fill);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		word = le64toh(word) ^ crc;
		crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
		      table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
		      table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
	}
	for (; len; p++, len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

#ifdef __x86_64__
#include <nmmintrin.h>

/*
 * The instruction takes three cycles, but one can begin in each: three parts of the bytes are added up side by side. What the first
 * comes to is then carried over the bytes of the second as over zeros (the CRC is linear: what they add is another sum), and so on.
 */
enum { PART_BYTES = 256, PARTS = 3 };

/* over_part[k][b]: what the byte b at the k-th place of a sum has become PART_BYTES zero bytes later. */
static uint32_t over_part[4][256];
static pthread_once_t over_part_once = PTHREAD_ONCE_INIT;

static void over_part_fill(void)
{
	(void)pthread_once(&table_once, table_fill);
	for (unsigned k = 0; k < 4; k++)
		for (unsigned b = 1; b < 256; b++) {
			unsigned lowest = b & -b;
			uint32_t sum = lowest << 8 * k;
			for (int i = 0; i < PART_BYTES && b == lowest; i++)
				sum = sum >> 8 ^ table[0][sum & 0xff];
			over_part[k][b] = b == lowest ? sum : over_part[k][lowest] ^ over_part[k][b ^ lowest];
		}
}

static inline uint32_t carry_over_part(uint32_t sum)
{
	return over_part[0][sum & 0xff] ^ over_part[1][sum >> 8 & 0xff] ^ over_part[2][sum >> 16 & 0xff] ^ over_part[3][sum >> 24];
}

__attribute__((target("sse4.2"))) static inline uint64_t add_word(uint64_t sum, const unsigned char *p)
{
	uint64_t word;
	memcpy(&word, p, 8);
	return _mm_crc32_u64(sum, word);
}

__attribute__((target("sse4.2"))) static uint32_t add_by_sse42(uint32_t crc, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t sum = ~crc;
	if (len >= PARTS * PART_BYTES)
		(void)pthread_once(&over_part_once, over_part_fill);
	for (; len >= PARTS * PART_BYTES; p += PARTS * PART_BYTES, len -= PARTS * PART_BYTES) {
		uint64_t second = 0, third = 0;
		for (const unsigned char *at = p; at < p + PART_BYTES; at += 8) {
			sum = add_word(sum, at);
			second = add_word(second, at + PART_BYTES);
			third = add_word(third, at + 2 * PART_BYTES);
		}
		sum = carry_over_part(carry_over_part((uint32_t)sum) ^ (uint32_t)second) ^ third;
	}
	for (; len >= 8; p += 8, len -= 8)
		sum = add_word(sum, p);
	crc = (uint32_t)sum;
	for (; len; p++, len--)
		crc = _mm_crc32_u8(crc, *p);
	return ~crc;
}

uint32_t crc32c_add(uint32_t crc, const void *bytes, size_t len)
{
	return __builtin_cpu_supports("sse4.2") ? add_by_sse42(crc, bytes, len) :
						  crc32c_add_by_table(crc, bytes, len);
}
#else
uint32_t crc32c_add(uint32_t crc, const void *bytes, size_t len)
{
	return crc32c_add_by_table(crc, bytes, len);
}
#endif
