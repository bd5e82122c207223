//go:build cgo

#include "guest.h"

#include <stdlib.h>
#include <string.h>

// A runtime that initialises itself in a guest touches pages, 125 in a Go guest, of which
// it leaves 51 zero. Bringing them one by one takes the most of the time of an instance,
// and the zero ones are a third of its memory. So what the first instance of a module has
// touched is brought in a few calls for the others, and what is zero is given back. That is
// looked at once, for all loads of a module from a cache: facts.go.

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE // Linux 5.14; earlier ones refuse it, which does no harm
#define MADV_POPULATE_WRITE 23
#endif

// least is the memory from which on it is worth the while, largest up to which it is looked
// through, and most what is brought of it.
static const size_t least = 1 << 20, largest = 32 << 20, most = 4 << 20;

static bool zero(const uint8_t *p, size_t n) { return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0; }

// residents returns which of the pages at p are in memory, a byte each. NULL is unknown.
static unsigned char *residents(uint8_t *p, size_t pages, size_t page) {
  unsigned char *r = malloc(pages + 1);
  if (r && mincore(p, pages * page, r) == 0) return r;
  free(r);
  return NULL;
}

// find_image sets the image of m, from an instance that has not run: what may hold data at the start.
// The data of a module are mapped from a file, whose pages are in memory as a rule; all others
// are not until they are touched. As a page of the file may be out of memory, those that are
// not there are read, too: what is zero now may be given back later. Reading maps them, which
// would look like touched by the guest, so they are given back at once.
static void find_image(bungee_guest *g, bungee_module *m) {
  size_t page = sysconf(_SC_PAGESIZE), n = g->size / page;
  unsigned char *r = residents(g->base, n, page);
  if (!r) return;
  while (n > 1 && !(r[n - 1] & 1) && zero(g->base + (n - 1) * page, page)) n--;
  madvise(g->base + n * page, g->size - n * page, MADV_DONTNEED);
  __atomic_store_n(&m->image, n * page, __ATOMIC_RELEASE);
  free(r);
}

void bungee_pages_before(bungee_guest *g, bungee_module *m) {
  if (g->size < least || g->size > largest) return;
  if (m->look && __atomic_load_n(&m->image, __ATOMIC_ACQUIRE) == 0) find_image(g, m);
  size_t runs = __atomic_load_n(&m->runs, __ATOMIC_ACQUIRE), total = 0;
  for (size_t i = 0; i < runs; i++) {
    total += m->run[i].n;
    if (total > most || m->run[i].at + m->run[i].n > g->size) return;
    madvise(g->base + m->run[i].at, m->run[i].n, MADV_POPULATE_WRITE);
  }
}

// remember sets the runs of m, where nobody has.
static void remember(bungee_module *m, const unsigned char *r, size_t pages, size_t page) {
  static int busy;
  if (__atomic_load_n(&m->runs, __ATOMIC_ACQUIRE) || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) return;
  size_t runs = 0;
  for (size_t i = 0, from = 0; i <= pages && runs < BUNGEE_RUNS; i++) {
    if (i < pages && (r[i] & 1)) continue;
    if (i > from) {
      m->run[runs].at = m->image + from * page;
      m->run[runs++].n = (i - from) * page;
    }
    from = i + 1;
  }
  __atomic_store_n(&m->runs, runs, __ATOMIC_RELEASE);
  __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

// give_back gives back what is zero of the pages at p.
static void give_back(uint8_t *p, const unsigned char *r, size_t pages, size_t page) {
  for (size_t i = 0, from = 0; i <= pages; i++) {
    if (i < pages && (r[i] & 1) && zero(p + i * page, page)) continue;
    if (i > from) madvise(p + from * page, (i - from) * page, MADV_DONTNEED);
    from = i + 1;
  }
}

void bungee_pages_after(bungee_guest *g, bungee_module *m) {
  size_t page = sysconf(_SC_PAGESIZE), image = __atomic_load_n(&m->image, __ATOMIC_ACQUIRE);
  if (image == 0 || image >= g->size) return;
  size_t pages = (g->size - image) / page;
  unsigned char *r = residents(g->base + image, pages, page);
  if (!r) return;
  remember(m, r, pages, page);
  give_back(g->base + image, r, pages, page);
  free(r);
}

void bungee_pages_discard(uint8_t *p, size_t n) { madvise(p, n, MADV_DONTNEED); }
#else
void bungee_pages_before(bungee_guest *g, bungee_module *m) {}
void bungee_pages_after(bungee_guest *g, bungee_module *m) {}
void bungee_pages_discard(uint8_t *p, size_t n) {}
#endif
