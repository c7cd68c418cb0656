#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A ring of bytes. The caller owns the storage; head == tail means empty. */
struct ring {
	unsigned char *data;
	size_t size, head, tail;
};

static inline size_t ring_used(const struct ring *r)
{
	return (r->head + r->size - r->tail) % r->size;
}

int ring_put(struct ring *r, const void *src, size_t n)
{
	const unsigned char *p = src;

	if (n >= r->size - ring_used(r))
		return -1;
	while (n--) {
		r->data[r->head++] = *p++;
		if (r->head == r->size)
			r->head = 0;
	}
	return 0;
}

#ifdef RING_SELF_TEST
int main(void)
{
	unsigned char store[8] = { 0xde, 0xad, 0xbe, 0xef, '\0', '\'', '\\', 042 };
	struct ring r = { .data = store, .size = sizeof store };

	for (int i = 0; i < 100; i++)
		if (ring_put(&r, "abc", 3) < 0 && i % 2 == 0)
			goto full;
full:
	return ring_used(&r) == 6 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif /* RING_SELF_TEST */
