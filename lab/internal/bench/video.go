package bench

import (
	"context"
	"errors"
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

// loss measures video over a link that loses packets.
func (c Channel) loss(r *rig) trial {
	const within = 100 * time.Millisecond
	v := video{
		weather: weather{delay: 5 * time.Millisecond, rate: 60e6, loss: 0.01},
		size:    frame, rate: 30, stripes: 4,
		conf: elastic.Config{InFlight: 4, Deadline: within},
	}
	return func(ctx context.Context, name string) ([]Figure, error) {
		m, fallbacks, err := v.play(ctx, r, c.pick(900, 100))
		if err != nil {
			return nil, err
		}
		f := Figure{Case: name, N: m.asked, Note: "over 4 connections; gRPC cannot stand beside: TCP's packets are not shaped without sch_netem"}
		f.Metric, f.Unit, f.Value = "within_100ms", "share", m.within(within)
		third := len(m.Micros) / 3
		g := f
		g.Metric, g.Unit = "age_p50_growth", "ms" // from the first third to the last one
		g.Value = (quantile(m.Micros[2*third:], 0.5) - quantile(m.Micros[:third], 0.5)) / 1e3
		g.N = len(m.Micros)
		h := f
		h.Metric, h.Unit, h.Value = "fallbacks", "moves", float64(fallbacks)
		return []Figure{f.against(">=", 0.97), g.against("<=", 1e3/v.rate), h}, nil
	}
}
