#include "router/base/crc32c.h"

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8, PART_BYTES = 256, PARTS = 3 };
static const uint32_t polynomial = 0x82f63b78; /* bits reversed: the lowest is the highest power */

/* table[k][b] is the sum of the byte b followed by k zero bytes, so that eight bytes are eight independent look-ups. */
static uint32_t table[SLICES][256];
/* over_part[k][b]: what the byte b at the k-th place of a sum has become PART_BYTES zero bytes later. */
static uint32_t over_part[4][256];
static bool has_instruction;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* ---- by the processor ---- */

#if defined(__x86_64__)
#include <nmmintrin.h>
#define WITH_INSTRUCTION __attribute__((target("sse4.2")))

static bool look_for_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

WITH_INSTRUCTION static inline uint32_t add_word(uint32_t sum, uint64_t word)
{
	return (uint32_t)_mm_crc32_u64(sum, word);
}

WITH_INSTRUCTION static inline uint32_t add_byte(uint32_t sum, unsigned char byte)
{
	return _mm_crc32_u8(sum, byte);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>
#define WITH_INSTRUCTION

static bool look_for_instruction(void)
{
	static const unsigned long hwcap_crc32 = 1 << 7; /* Linux, arch/arm64/include/uapi/asm/hwcap.h */
	return getauxval(AT_HWCAP) & hwcap_crc32;
}

static inline uint32_t add_word(uint32_t sum, uint64_t word)
{
	__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(sum) : "r"(word));
	return sum;
}

static inline uint32_t add_byte(uint32_t sum, unsigned char byte)
{
	__asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(sum) : "r"(byte));
	return sum;
}
#else
static bool look_for_instruction(void)
{
	return false;
}
#endif

/* ---- tables ---- */

static void fill_table(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t sum = b;
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? polynomial : 0);
		table[0][b] = sum;
	}
	for (int k = 1; k < SLICES; k++)
		for (uint32_t b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t past_zeros(uint32_t sum)
{
	for (int i = 0; i < PART_BYTES; i++)
		sum = sum >> 8 ^ table[0][sum & 0xff];
	return sum;
}

static void prepare(void)
{
	fill_table();
	for (unsigned k = 0; k < 4; k++)
		for (unsigned b = 1; b < 256; b++) {
			unsigned lowest = b & -b;
			over_part[k][b] = b == lowest ? past_zeros(b << 8 * k) : over_part[k][lowest] ^ over_part[k][b ^ lowest];
		}
	has_instruction = look_for_instruction();
}

/* ---- sums ---- */

static inline uint64_t word_at(const unsigned char *p)
{
	uint64_t word;
	memcpy(&word, p, 8);
	return le64toh(word);
}

uint32_t crc32c_add_by_table(uint32_t crc, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	(void)pthread_once(&prepared, prepare);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word = word_at(p) ^ crc;
		crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
		      table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
		      table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
	}
	for (; len; p++, len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

#ifdef WITH_INSTRUCTION
static inline uint32_t carry_over_part(uint32_t sum)
{
	return over_part[0][sum & 0xff] ^ over_part[1][sum >> 8 & 0xff] ^ over_part[2][sum >> 16 & 0xff] ^ over_part[3][sum >> 24];
}

/*
 * An instruction takes three cycles, but one can begin in each: three parts of the bytes are added up side by side. What the first
 * comes to is then carried over the bytes of the second as over zeros (the CRC is linear: what they add is another sum), and so on.
 */
WITH_INSTRUCTION static uint32_t add_by_instruction(uint32_t crc, const unsigned char *p, size_t len)
{
	uint32_t sum = ~crc;
	for (; len >= PARTS * PART_BYTES; p += PARTS * PART_BYTES, len -= PARTS * PART_BYTES) {
		uint32_t second = 0, third = 0;
		for (const unsigned char *at = p; at < p + PART_BYTES; at += 8) {
			sum = add_word(sum, word_at(at));
			second = add_word(second, word_at(at + PART_BYTES));
			third = add_word(third, word_at(at + 2 * PART_BYTES));
		}
		sum = carry_over_part(carry_over_part(sum) ^ second) ^ third;
	}
	for (; len >= 8; p += 8, len -= 8)
		sum = add_word(sum, word_at(p));
	for (; len; p++, len--)
		sum = add_byte(sum, *p);
	return ~sum;
}
#else
#define add_by_instruction crc32c_add_by_table
#endif

uint32_t crc32c_add(uint32_t crc, const void *bytes, size_t len)
{
	(void)pthread_once(&prepared, prepare);
	return has_instruction ? add_by_instruction(crc, bytes, len) : crc32c_add_by_table(crc, bytes, len);
}
