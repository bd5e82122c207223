package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// askers is how many UEs ask at once: a UE may say 50 frames a second, and an ask is three of them.
const askers = 300

// asks measures how many asks a second the manager answers with a place that its host has prepared. Each UE has a
// connection, and asks again as soon as it has its answer and has given up the place.
func (c Control) asks(hosts int) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		r, err := c.realm(name)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.end()) }()
		if err := r.addHosts(ctx, hosts); err != nil {
			return nil, err
		}
		if err := r.addUEs(ctx, c.pick(askers, 12)); err != nil {
			return nil, err
		}
		if _, err := r.askFor(ctx, time.Second/4); err != nil { // probes, and what begins
			return nil, err
		}
		long := time.Duration(c.pick(5000, 300)) * time.Millisecond
		cpu, own := cpuTime(r.pid()), cpuTime(os.Getpid())
		got, err := r.askFor(ctx, long)
		if err != nil {
			return nil, err
		}
		cpu, own = cpuTime(r.pid())-cpu, cpuTime(os.Getpid())-own
		f := Figure{Case: name, Metric: "asks", Unit: "per_s", Value: float64(len(got.took)) / long.Seconds(), N: len(got.took)}
		f.Beside = map[string]float64{
			"p50_ms": ms(quantile(got.took, 0.5)), "p99_ms": ms(quantile(got.took, 0.99)), "manager_cores": cpu.Seconds() / long.Seconds(), "crowd_cores": own.Seconds() / long.Seconds(),
			"manager_ms_per_ask": over(ms(cpu), float64(len(got.took))),
		}
		f.Note = fmt.Sprintf("%d UEs ask in turn; the crowd and the manager share the machine's cores", len(r.ues))
		local := Figure{Case: name, Metric: "not_placed", Unit: "asks", Value: float64(got.local), N: len(got.took) + got.local, Note: got.why}
		return []Figure{f.against(">=", 2000), local.against("<=", 0)}, nil
	}
}

// askings are what came of asks.
type askings struct {
	took  []time.Duration // of those that were given a place
	local int             // that were not
	why   string          // for one of them
}

// askFor has all UEs ask for a time, each one ask after the other.
func (c *crowd) askFor(ctx context.Context, long time.Duration) (sum askings, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var errs []error
	end := time.Now().Add(long)
	for _, u := range c.ues {
		all.Go(func() {
			got, err := u.askUntil(ctx, end)
			mu.Lock()
			defer mu.Unlock()
			sum.took = append(sum.took, got.took...)
			sum.local += got.local
			if got.why != "" {
				sum.why = got.why
			}
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	return sum, firstErrors(errs)
}

func (u *modelUE) askUntil(ctx context.Context, end time.Time) (got askings, err error) {
	for n := uint64(1); time.Now().Before(end); n++ {
		begin := time.Now()
		p, err := u.ask(ctx, n)
		if err != nil {
			return got, err
		}
		if p.Primary.Host != "" {
			got.took = append(got.took, time.Since(begin))
		} else {
			got.local, got.why = got.local+1, p.Why
		}
		u.bye(n)
	}
	return got, nil
}

// cpuTime returns the time of cores that a process has used, 0 where there is no /proc.
func cpuTime(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(b), ") ") // its name may have spaces
	var user, system int64
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}
