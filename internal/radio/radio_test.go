package radio_test

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/radio"
)

var (
	ueAddr   = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	hostAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}
)

// An arrival is a packet's number and when it came, since the first was sent.
type arrival struct {
	n  int
	at time.Duration
}

// fly sends n packets of size bytes from the UE to the host, every so often, and
// returns what arrives.
func fly(t *testing.T, air *radio.Air, n, size int, every time.Duration) []arrival {
	t.Helper()
	ue, host := air.Endpoint(ueAddr), air.Endpoint(hostAddr)
	defer air.Leave(ueAddr)
	defer air.Leave(hostAddr)
	begin := time.Now()
	var got []arrival
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, size)
		for {
			if _, _, err := host.ReadFrom(b); err != nil {
				return
			}
			got = append(got, arrival{int(binary.BigEndian.Uint32(b)), time.Since(begin)})
		}
	}()
	for i := range n {
		b := binary.BigEndian.AppendUint32(nil, uint32(i))
		if _, err := ue.WriteTo(append(b, make([]byte, size-len(b))...), hostAddr); err != nil {
			t.Fatal(err)
		}
		time.Sleep(every)
	}
	time.Sleep(time.Minute)
	ue.Close()
	host.Close()
	<-done
	return got
}

func numbers(all []arrival) []int {
	var ns []int
	for _, a := range all {
		ns = append(ns, a.n)
	}
	return ns
}

func TestZeroAirIsPerfect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// In one burst: more than an endpoint's buffer holds.
		got := fly(t, &radio.Air{}, 1000, 100, 0)
		if len(got) != 1000 || !slices.IsSorted(numbers(got)) || got[999].at != 0 {
			t.Errorf("%d of 1000 packets arrived, in order: %v", len(got), slices.IsSorted(numbers(got)))
		}
	})
}

func TestFaults(t *testing.T) {
	const n = 2000
	count := func(got []arrival) map[int]int {
		times := map[int]int{}
		for _, a := range got {
			times[a.n]++
		}
		return times
	}
	tests := []struct {
		name, why string
		faults    radio.Faults
		check     func(t *testing.T, got []arrival)
	}{
		{"loss", "a tenth is lost, the rest keeps its order", radio.Faults{Loss: 0.1}, func(t *testing.T, got []arrival) {
			if len(got) < n*85/100 || len(got) > n*95/100 || !slices.IsSorted(numbers(got)) {
				t.Errorf("%d of %d arrived, in order: %v", len(got), n, slices.IsSorted(numbers(got)))
			}
		}},
		{"duplicate", "all arrive, a tenth twice", radio.Faults{Duplicate: 0.1}, func(t *testing.T, got []arrival) {
			if len(count(got)) != n || len(got) < n*105/100 || len(got) > n*115/100 {
				t.Errorf("%d packets, %d different, of %d", len(got), len(count(got)), n)
			}
		}},
		{"reorder", "all arrive once, some late", radio.Faults{Reorder: 0.1, Late: 5 * time.Millisecond}, func(t *testing.T, got []arrival) {
			if len(got) != n || len(count(got)) != n || slices.IsSorted(numbers(got)) {
				t.Errorf("%d packets, %d different, of %d, in order: %v", len(got), len(count(got)), n, slices.IsSorted(numbers(got)))
			}
		}},
		{"jitter", "delays vary up to the bound, order is kept", radio.Faults{Jitter: 20 * time.Millisecond}, func(t *testing.T, got []arrival) {
			var most time.Duration
			for i, a := range got {
				most = max(most, a.at-time.Duration(i)*time.Millisecond)
			}
			if len(got) != n || !slices.IsSorted(numbers(got)) || most < 15*time.Millisecond || most > 25*time.Millisecond {
				t.Errorf("%d packets, in order: %v, delay up to %v", len(got), slices.IsSorted(numbers(got)), most)
			}
		}},
		{"delay", "on top of the air's own", radio.Faults{Delay: 10 * time.Millisecond}, func(t *testing.T, got []arrival) {
			if got[0].at != 15*time.Millisecond {
				t.Errorf("the first packet came after %v, want 15ms", got[0].at)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				air := &radio.Air{OneWay: 5 * time.Millisecond, Seed: 7}
				air.Set(nil, nil, test.faults)
				t.Log(test.why)
				test.check(t, fly(t, air, n, 100, time.Millisecond))
			})
		})
	}
}

func TestSeedDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) []arrival {
			air := &radio.Air{Seed: seed}
			air.Set(nil, nil, radio.Faults{Loss: 0.2, Duplicate: 0.1, Reorder: 0.1, Jitter: time.Millisecond})
			return fly(t, air, 500, 100, time.Millisecond)
		}
		if a, b := run(1), run(1); !slices.Equal(a, b) {
			t.Errorf("the same seed gave %d arrivals, then %d others", len(a), len(b))
		}
		if a, b := run(1), run(2); slices.Equal(a, b) {
			t.Error("two seeds gave the same")
		}
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{OneWay: 5 * time.Millisecond}
		air.Set(ueAddr.IP, nil, radio.Faults{Rate: 8e6, Queue: 100_000}) // a byte a µs
		got := fly(t, air, 150, 1000, 0)
		// What waits is 100 packets, and one more that found the queue just full.
		if len(got) != 101 || got[0].at != 6*time.Millisecond || got[100].at != 106*time.Millisecond {
			t.Errorf("%d packets came, at %v to %v; want 101, at 6ms to 106ms", len(got), got[0].at, got[len(got)-1].at)
		}
	})
}

func TestMostExactFaultsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{}
		all, up, both := time.Second, 2*time.Second, 3*time.Second
		air.Set(nil, nil, radio.Faults{Delay: all})
		if got := fly(t, air, 1, 100, 0); got[0].at != all {
			t.Errorf("with faults of all directions: %v, want %v", got[0].at, all)
		}
		air.Set(nil, hostAddr.IP, radio.Faults{Delay: time.Hour})
		air.Set(ueAddr.IP, nil, radio.Faults{Delay: up})
		if got := fly(t, air, 1, 100, 0); got[0].at != up {
			t.Errorf("with faults of sender and of receiver: %v, want the sender's %v", got[0].at, up)
		}
		air.Set(ueAddr.IP, hostAddr.IP, radio.Faults{Delay: both})
		if got := fly(t, air, 1, 100, 0); got[0].at != both {
			t.Errorf("with faults of the pair: %v, want %v", got[0].at, both)
		}
	})
}

func TestMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{}
		air.Set(nil, nil, radio.Faults{MTU: 1280})
		if got := fly(t, air, 1, 1280-20-8, 0); len(got) != 1 {
			t.Error("a packet of the MTU was lost")
		}
		if got := fly(t, air, 1, 1280-20-8+1, 0); len(got) != 0 {
			t.Error("a packet of a byte more arrived")
		}
	})
}

func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{OneWay: 10 * time.Millisecond}
		time.AfterFunc(95*time.Millisecond, func() { air.Mute(hostAddr.IP, true) })
		time.AfterFunc(295*time.Millisecond, func() { air.Mute(hostAddr.IP, false) })
		got := numbers(fly(t, air, 50, 100, 10*time.Millisecond))
		// Packet 9, sent at 90 ms, is under way when the host falls silent.
		if len(got) != 9+20 || got[8] != 8 || got[9] != 30 {
			t.Errorf("arrived: %v; want 0 to 8 and 30 to 49", got)
		}
	})
}

// A parted direction loses what was under way and what comes; the other direction does not.
func TestPart(t *testing.T) {
	for _, back := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			air := &radio.Air{OneWay: 10 * time.Millisecond}
			from, to := ueAddr.IP, hostAddr.IP
			if back {
				from, to = to, from
			}
			time.AfterFunc(95*time.Millisecond, func() { air.Part(from, to, true) })
			time.AfterFunc(295*time.Millisecond, func() { air.Part(from, to, false) })
			want := 9 + 20
			if back {
				want = 50
			}
			if got := numbers(fly(t, air, 50, 100, 10*time.Millisecond)); len(got) != want {
				t.Errorf("back %t: %d of 50 packets arrived, want %d", back, len(got), want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{}
		ue := air.Endpoint(ueAddr)
		defer ue.Close()
		air.Cut(ueAddr.IP, true)
		if _, err := ue.WriteTo([]byte("x"), hostAddr); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("sending from an interface that is down gave %v, want ENETUNREACH", err)
		}
		air.Cut(ueAddr.IP, false)
		if _, err := ue.WriteTo([]byte("x"), hostAddr); err != nil {
			t.Errorf("sending from an interface that is up again gave %v", err)
		}
		time.Sleep(time.Second)
	})
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := &radio.Air{}
		for range 2 { // the second life of each endpoint
			if got := fly(t, air, 3, 100, 0); len(got) != 3 {
				t.Errorf("%d of 3 packets arrived", len(got))
			}
		}
	})
}
