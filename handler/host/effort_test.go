package host

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestNextRate(t *testing.T) {
	tests := []struct {
		name    string
		rate    float64
		busy    bool
		tenants int
		most    float64
		want    float64
		why     string
	}{
		{"peace", 4, false, 10, 0.1, 4, "nobody gets more than all cores"},
		{"peace after a siege", 0.1, false, 10, 0.1, 0.105, "the rate rises slowly"},
		{"a siege begins", 4, true, 10, 0.5, 0.25, "those who use most are held back at once, not after many windows"},
		{"a siege goes on", 0.25, true, 10, 0.5, 0.125, "it is not over yet"},
		{"a long siege", 0.11, true, 10, 0.5, 0.1, "a tenth of a quarter of four cores is everybody's"},
		{"alone", 4, true, 1, 3, 4, "who is alone takes nothing from others"},
	}
	for _, tt := range tests {
		if got := nextRate(tt.rate, 4, tt.busy, tt.tenants, tt.most); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v: %s", tt.name, got, tt.want, tt.why)
		}
	}
}

// Of two tenants on a host whose goroutines wait for cores, one that asks without end is held back, and one that asks now
// and then is not. Once they wait no longer, nobody is.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, busy := time.Now(), true
		p := newPacer()
		p.cores, p.rate = 1, 1
		p.waiting = func() time.Duration {
			if busy {
				return 10 * time.Since(begin) // ten goroutines, all the time
			}
			return 0
		}
		asks := func(u *purse, every, long time.Duration) (times int, longest time.Duration) {
			for end := time.Now().Add(long); time.Now().Before(end); times++ {
				p.spend(u, 100*time.Microsecond)
				before := time.Now()
				p.await(u, nil)
				longest = max(longest, time.Since(before))
				time.Sleep(every)
			}
			return times, longest
		}
		both := func(long time.Duration) (attacks int, longest time.Duration) {
			attacker, quiet := newPurse(), newPurse()
			done := make(chan struct{})
			go func() {
				attacks, _ = asks(attacker, 100*time.Microsecond, long)
				close(done)
			}()
			_, longest = asks(quiet, 10*time.Millisecond, long)
			<-done
			return attacks, longest
		}
		attacks, longest := both(10 * time.Second)
		if attacks > 20_000 || attacks < 5000 { // 100,000 without a pacer; an eighth of a core are 12,500
			t.Errorf("beside goroutines that wait an attacker asks %d times in 10 s, want about 12,500", attacks)
		}
		if longest > 0 {
			t.Errorf("a tenant that uses a hundredth of a core waits for %v", longest)
		}
		busy, begin = false, time.Now()
		time.Sleep(time.Second)
		both(time.Second) // the rate rises
		if attacks, _ := both(time.Second); attacks < 4900 {
			t.Errorf("where nothing waits one asks %d times in a second, want 5,000", attacks)
		}
	})
}

// A tenant that calls a few times a second has its part of the host's effort also in the windows in which it does nothing, and so an attacker
// gets no more of it then.
func TestPacerRemembersTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := newPacer()
		p.cores, p.rate = 1, 1
		p.waiting = func() time.Duration { return 10 * time.Since(begin) }
		quiet := make([]purse, 99) // which never wait
		attacks := 0
		for attacker := newPurse(); time.Since(begin) < 10*time.Second; attacks++ {
			if time.Since(quiet[0].at) > 300*time.Millisecond {
				for i := range quiet {
					p.spend(&quiet[i], 100*time.Microsecond)
				}
			}
			p.spend(attacker, 100*time.Microsecond)
			p.await(attacker, nil)
		}
		if attacks > 1000 { // a hundredth of a quarter of a core are 250, before which the rate has to fall; an eighth of a core are 12,500
			t.Errorf("beside 99 quiet tenants an attacker asks %d times in 10 s, want some hundred", attacks)
		}
		quiet[0].at = time.Time{}
		time.Sleep(2 * paceMemory)
		p.spend(newPurse(), 0)
		time.Sleep(2 * paceWindow)
		if p.spend(newPurse(), 0); len(p.uses) > 2 {
			t.Errorf("%d tenants count as active, want the last two", len(p.uses))
		}
	})
}

// Whoever owes much goes on when its connection ends, also behind others who wait.
func TestPacerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, u, begin := newPacer(), newPurse(), time.Now()
		p.spend(u, time.Hour)
		done := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(done) })
		stays := make(chan struct{})
		defer close(stays)
		go p.await(u, stays)
		synctest.Wait()
		p.await(u, done)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it waited for %v, want one second", took)
		}
	})
}

func TestSumOf(t *testing.T) {
	inf := math.Inf(1)
	got := sumOf([]uint64{1, 2, 0, 1}, []float64{-inf, 1, 3, 5, inf})
	if want := 9500 * time.Millisecond; got != want {
		t.Errorf("one of up to 1 s, two of 1 to 3, and one of 5 or more: %v, want %v", got, want)
	}
	if schedulerWaits()() <= 0 {
		t.Error("the runtime says that no goroutine has waited")
	}
}
