package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sessionsPerHost is how many sessions there are for each host where a crowd rests. Each has a standby, too.
const sessionsPerHost = 10

// traffic measures what hosts and UEs at rest say to the manager, and it to them: hosts beat, and UEs, each with one
// session on a host, say that they make no calls.
func (c Control) traffic(ctx context.Context, name string) (figures []Figure, err error) {
	hosts := c.pick(16, 2)
	r, err := c.settled(ctx, name, hosts, hosts*sessionsPerHost, 1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	wait(ctx, time.Duration(c.pick(10, 0))*time.Second) // connections find out how large packets may be
	begin, ofHosts, ofUEs := time.Now(), bytesOf(r.hosts), bytesOf(r.ues)
	wait(ctx, time.Duration(c.pick(10, 1))*time.Second)
	long := time.Since(begin)
	figure := func(metric string, before, after uint64, n int, target float64) Figure {
		f := Figure{Case: name, Metric: metric, Unit: "KB/s", N: n, Value: float64(after-before) / long.Seconds() / float64(n) / 1e3}
		f.Note = "both ways, in UDP datagrams"
		return f.against("<=", target)
	}
	return []Figure{
		figure("of_a_host", ofHosts, bytesOf(r.hosts), len(r.hosts), 1),
		figure("of_a_ue", ofUEs, bytesOf(r.ues), len(r.ues), 0.2),
	}, nil
}

// memory measures what the manager holds, and computes, for a crowd at rest.
func (c Control) memory(hosts int) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		begin := time.Now()
		r, err := c.settled(ctx, name, hosts, hosts, sessionsPerHost)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.end()) }()
		settled := time.Since(begin)
		cpu, begin := cpuTime(r.pid()), time.Now()
		wait(ctx, time.Duration(c.pick(10, 1))*time.Second)
		cores := (cpuTime(r.pid()) - cpu).Seconds() / time.Since(begin).Seconds()
		rss, _ := resident(r.pid())
		f := Figure{Case: name, Metric: "manager_rss", Unit: "MiB", Value: float64(rss) / (1 << 20), N: 1}
		f.Beside = map[string]float64{"most_mib": float64(highWater(r.pid())) / (1 << 20)}
		f.Note = fmt.Sprintf("%s sessions of %s UEs, all connected; they were there after %.1f s", thousands(len(r.ues)*sessionsPerHost), thousands(len(r.ues)), settled.Seconds())
		return []Figure{f.against("<=", 256), {Case: name, Metric: "manager_cores", Unit: "cores", Value: cores, N: 1, Note: "hosts beat and sessions feel, once a second"}}, nil
	}
}

// settled returns a realm whose UEs have that many sessions each, all of them on a host, and rest.
func (c Control) settled(ctx context.Context, name string, hosts, ues, sessions int) (r *realm, err error) {
	if r, err = c.realm(name); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.end())
		}
	}()
	if err = r.addHosts(ctx, hosts); err != nil {
		return r, err
	}
	if err = r.addUEs(ctx, ues); err != nil {
		return r, err
	}
	err = together(ctx, ues, func(ctx context.Context, i int) error {
		u := r.ues[i]
		for n := range sessions {
			p, err := u.ask(ctx, uint64(n+1))
			if err == nil && p.Primary.Host == "" {
				err = fmt.Errorf("session %d of %s is not placed: %s", n+1, u.name, p.Why)
			}
			if err != nil {
				return err
			}
		}
		u.rest()
		return nil
	})
	if err != nil {
		return r, err
	}
	wait(ctx, time.Duration(c.pick(2, 1))*crowdBeat) // beats show the leases, and the standbys are there
	return r, ctx.Err()
}

// bytesOf returns what peers have sent and received.
func bytesOf[P interface{ bytes() uint64 }](peers []P) (sum uint64) {
	for _, p := range peers {
		sum += p.bytes()
	}
	return sum
}

func (p *peer) bytes() uint64 {
	m := p.conn.Metrics()
	return m.BytesSent + m.BytesReceived
}
