package radio

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// Faults is what happens to the packets of a direction. The zero Faults is none.
type Faults struct {
	// Loss, Duplicate and Reorder are the chances of each packet, 0 to 1, to be
	// lost, to arrive twice, and to arrive Late.
	Loss, Duplicate, Reorder float64
	// Late is how much a reordered packet, or the copy of a doubled one, is late.
	// Zero means 10 ms.
	Late time.Duration
	// Delay adds to the air's OneWay.
	Delay time.Duration
	// Jitter is the most that is added at random to a packet's delay. Packets keep
	// their order.
	Jitter time.Duration
	// Rate is how many bits a second go through. Zero means no limit.
	Rate float64
	// Queue is how many bytes wait when Rate holds them up; a packet that finds no room is
	// lost. Zero means as many as go through in 50 ms.
	Queue int
	// MTU is how many bytes a packet may have, with the headers of IP and UDP. A longer one
	// is lost, and its sender is not told. Zero means no limit.
	MTU int
}

// fits says whether a packet of size bytes in direction dir is within the MTU.
func (f Faults) fits(dir pair, size int) bool {
	headers := 20 + 8
	if dir.to.Is6() {
		headers = 40 + 8
	}
	return f.MTU == 0 || headers+size <= f.MTU
}

// A way is one direction between two IP addresses. The air's mutex guards it.
type way struct {
	dice rand.PCG
	free time.Time // when what is in the queue has gone out
	last time.Time // when the last packet arrives that kept its turn

	waiting    []sent // in order of arrival
	timer      *time.Timer
	delivering bool
}

// sent is a packet under way.
type sent struct {
	p  simnet.Packet
	at time.Time // of arrival
}

func newWay(dir pair, seed uint64) *way {
	h := fnv.New64a()
	h.Write([]byte(dir.from.String() + ">" + dir.to.String()))
	w := &way{}
	w.dice.Seed(seed, h.Sum64())
	return w
}

// plan returns when copies of the next packet, of size bytes, arrive.
func (w *way) plan(now time.Time, size int, oneWay time.Duration, f Faults) []time.Time {
	// Each packet takes all its throws, needed or not, so that the n-th packet gets the
	// n-th throws whatever faults the earlier packets had.
	lost, doubled, late, jitter := w.throw(), w.throw(), w.throw(), w.throw()
	out, ok := w.queue(now, size, f)
	if !ok || lost < f.Loss {
		return nil
	}
	at := out.Add(oneWay + f.Delay + time.Duration(jitter*float64(f.Jitter)))
	if at.Before(w.last) {
		at = w.last
	}
	delay := f.Late
	if delay == 0 {
		delay = 10 * time.Millisecond
	}
	first := at
	if late < f.Reorder {
		first = at.Add(delay)
	} else {
		w.last = at
	}
	if doubled < f.Duplicate {
		return []time.Time{first, at.Add(delay)}
	}
	return []time.Time{first}
}

// queue returns when a packet has gone out, false where the queue has no room.
func (w *way) queue(now time.Time, size int, f Faults) (time.Time, bool) {
	if f.Rate == 0 {
		return now, true
	}
	room := 50 * time.Millisecond
	if f.Queue > 0 {
		room = onAir(f.Queue, f.Rate)
	}
	if w.free.Before(now) {
		w.free = now
	}
	if w.free.Sub(now) > room {
		return now, false
	}
	w.free = w.free.Add(onAir(size, f.Rate))
	return w.free, true
}

// onAir is how long bytes take at rate.
func onAir(bytes int, rate float64) time.Duration {
	return time.Duration(float64(8*bytes) / rate * float64(time.Second))
}

// throw returns a number of [0, 1).
func (w *way) throw() float64 { return float64(w.dice.Uint64()>>11) / (1 << 53) }

// put adds s behind what arrives no later.
func (w *way) put(s sent) {
	i := len(w.waiting)
	for i > 0 && w.waiting[i-1].at.After(s.at) {
		i--
	}
	w.waiting = slices.Insert(w.waiting, i, s)
}

func (w *way) take() simnet.Packet {
	p := w.waiting[0].p
	w.waiting = slices.Delete(w.waiting, 0, 1)
	return p
}

// wakeLocked makes a deliver the next packet when it arrives.
func (w *way) wakeLocked(a *Air) {
	if w.delivering || len(w.waiting) == 0 {
		return
	}
	wait := time.Until(w.waiting[0].at)
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, func() { a.deliver(w) })
		return
	}
	w.timer.Reset(wait)
}
