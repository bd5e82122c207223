package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
)

// video is frames at a rate through a channel of mode Latest over a link.
type video struct {
	weather
	size    int
	rate    float64
	conf    elastic.Config
	stripes int
}

// play sends frames to the edge host of r, and measures the age of the results from there,
// in their order. When the channel falls back to the UE, which happens after three late
// frames in a row, it moves back to the host at once.
func (v *video) play(ctx context.Context, r *rig, frames int) (m measured, fallbacks uint64, err error) {
	link, err := relayUDP(v.weather, r.edges[0].address)
	if err != nil {
		return m, 0, err
	}
	defer func() { err = errors.Join(err, link.end()) }()
	h, err := r.handler(ctx, ue.Config{Stripes: v.stripes})
	if err != nil {
		return m, 0, err
	}
	defer h.Close()
	v.conf.Mode = elastic.Latest
	t := h.Target(link.address)
	n, err := on(ctx, t, v.conf, v.size, small)
	if err != nil {
		return m, 0, err
	}
	var returns sync.WaitGroup
	events := n.ch.Events(ctx)
	returns.Go(func() { // ends with the channel
		for e := range events {
			if e.Kind == elastic.FellBack {
				back(ctx, n, t) // fails where the channel has ended
			}
		}
	})
	tr := newTraffic(n, v.rate)
	tr.begin(ctx)
	select {
	case <-time.After(time.Duration(float64(frames) / v.rate * float64(time.Second))):
	case <-ctx.Done():
	}
	err = tr.finish(ctx)
	returns.Wait()
	for _, d := range tr.delivered {
		if d.far {
			m.took(d.age)
		}
	}
	m.asked = int(n.query.Seq)
	return m, n.ch.Stats().Fallbacks, err
}

// motionToPhoton is paper 000's bound on what a user may wait to see.
const motionToPhoton = 16 * time.Millisecond

// age measures how old a frame is when its result can be shown.
func (c Channel) age(r *rig) trial {
	const rate, size, oneWay = 60, 20 << 10, 2500 * time.Microsecond
	return func(ctx context.Context, name string) ([]Figure, error) {
		v := video{weather: weather{delay: oneWay}, size: size, rate: rate}
		k := contest{name: name, transports: transports}
		for range c.pick(5, 1) {
			m, _, err := v.play(ctx, r, rate*c.pick(4, 2))
			if err != nil {
				return nil, err
			}
			k.ours.add(m)
			b := batch{Requests: m.asked, In: size, Out: small, InFlight: 4, Rate: rate}
			if err := k.besides(r.yard, b, oneWay); err != nil {
				return nil, err
			}
		}
		share := func(m *measured) float64 { return m.within(motionToPhoton) }
		return []Figure{
			k.figure("age_p50", "ms", p50), k.figure("age_p99", "ms", p99), k.figure("within_16ms", "share", share),
		}, nil
	}
}

// loss measures video over a link that loses packets, in five runs.
func (c Channel) loss(r *rig) trial {
	const within = 100 * time.Millisecond
	v := video{
		weather: weather{delay: 5 * time.Millisecond, rate: 60e6, loss: 0.01},
		size:    frame, rate: 30, stripes: 4,
		conf: elastic.Config{InFlight: 4, Deadline: within},
	}
	return func(ctx context.Context, name string) ([]Figure, error) {
		share := Figure{Case: name, Metric: "within_100ms_least", Unit: "share", Value: 1, Beside: map[string]float64{}}
		share.Note = "the least of the runs, over 4 connections; gRPC cannot stand beside: TCP's packets are not shaped without sch_netem"
		growth := Figure{Case: name, Metric: "age_p50_growth_most", Unit: "ms", Note: "from the first third of a run to the last one"}
		moves := Figure{Case: name, Metric: "fallbacks", Unit: "moves"}
		for run := range c.pick(5, 2) {
			v.seed = uint64(run)
			m, fallbacks, err := v.play(ctx, r, c.pick(600, 60))
			if err != nil {
				return nil, err
			}
			in, third := m.within(within), len(m.Micros)/3
			share.Beside[fmt.Sprintf("run_%d", run+1)] = in
			share.Value = min(share.Value, in)
			share.N += m.asked
			growth.Value = max(growth.Value, (quantile(m.Micros[2*third:], 0.5)-quantile(m.Micros[:third], 0.5))/1e3)
			growth.N += len(m.Micros)
			moves.Value += float64(fallbacks)
			moves.N += m.asked
		}
		return []Figure{share.against(">=", 0.97), growth.against("<=", 1e3/v.rate), moves}, nil
	}
}
