package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A crowdProcess is a process that runs a [Crowd].
type crowdProcess struct {
	*process
	to   *json.Encoder
	from *json.Decoder
}

// startCrowd starts a crowd with room for the given number of instances of a guest; 0 leaves
// that to the engine.
func (b *bout) startCrowd(ctx context.Context, name guestName, instances int) (*crowdProcess, error) {
	wasm, err := b.wasm(ctx, name)
	if err != nil {
		return nil, err
	}
	c := Crowd{Engine: b.engine.Name, Cache: b.cache(string(name)), Module: filepath.Join(b.dir, string(name)+".wasm"), Instances: instances}
	if err := os.WriteFile(c.Module, wasm, 0o600); err != nil {
		return nil, err
	}
	p, err := start(b.Crowd(c))
	if err != nil {
		return nil, err
	}
	return &crowdProcess{p, json.NewEncoder(p.in), json.NewDecoder(p.out)}, nil
}

func (p *crowdProcess) do(o crowdOrder) (r crowdReport, err error) {
	if err := p.to.Encode(o); err != nil {
		return r, err
	}
	if err := p.from.Decode(&r); err != nil {
		return r, fmt.Errorf("the process that holds instances says no more: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

const gib = 1 << 30

// density measures what an instance that is initialised and idle takes: the slope of the
// memory of a process over the number of its instances. Then it makes instances until
// something ends that.
func (b *bout) density(name guestName) trial {
	return func(ctx context.Context, scene string) (figures []Figure, err error) {
		few, target := b.pick(1000, 200), 50_000.
		if name == goGuest {
			few, target = b.pick(100, 20), 2000
		}
		p, err := b.startCrowd(ctx, name, -1)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.end()) }()
		n, each, err := slope(few, func(n int) (int, int64, error) {
			r, err := p.do(crowdOrder{Instances: n})
			return r.Instances, r.Pss, err
		})
		if err != nil {
			return nil, err
		}
		f := Figure{Case: scene, Metric: "instances_per_gib", Unit: "instances", N: n, Value: over(gib, each),
			Note: fmt.Sprintf("%.0f bytes of Pss an instance", each)}
		if name == smallGuest {
			if f, err = b.extismDensity(f, few/4); err != nil {
				return nil, err
			}
		}
		limit, err := b.mostInstances(p, scene, name)
		return append([]Figure{b.aim(f, ">=", target)}, limit...), err
	}
}

// slope measures the bytes that an instance adds, from few to five times as many.
func slope(few int, grow func(n int) (instances int, bytes int64, err error)) (n int, each float64, err error) {
	n1, b1, err := grow(few)
	if err != nil {
		return 0, 0, err
	}
	n2, b2, err := grow(5 * few)
	if err != nil {
		return 0, 0, err
	}
	if n2 <= n1 || b2 <= b1 {
		return 0, 0, fmt.Errorf("%d instances took %d bytes, and %d took %d", n1, b1, n2, b2)
	}
	return n2, float64(b2-b1) / float64(n2-n1), nil
}

// extismDensity puts what an instance of Extism takes beside f.
func (b *bout) extismDensity(f Figure, few int) (Figure, error) {
	if b.extism == nil {
		return noExtism(f), nil
	}
	// The process may have a crowd already, of an earlier scene.
	have := b.extism.crowd
	_, each, err := slope(few, func(n int) (int, int64, error) {
		seen, err := b.extism.run(order{"crowd", have + n})
		b.extism.crowd = have + n
		return n, seen.Pss, err
	})
	if err != nil {
		return f, err
	}
	return besideExtism(f, over(gib, each)), nil
}

// mostInstances makes instances until the system or the engine refuses, but not many more
// than the target asks for.
func (b *bout) mostInstances(p *crowdProcess, scene string, name guestName) ([]Figure, error) {
	if b.Quick || name == goGuest {
		return nil, nil
	}
	r, err := p.do(crowdOrder{Instances: 60_000})
	if err != nil {
		return nil, err
	}
	f := Figure{Case: scene, Metric: "instances_at_once", Unit: "instances", Value: float64(r.Instances), N: r.Instances}
	if f.Note = r.Limit; r.Limit == "" {
		f.Note = "more were not asked for"
	}
	return []Figure{f}, nil
}

// The size of a crowd. A hundredth of its instances is called (paper 003, Table I).
const crowdSize, crowdShare = 10_000, 100

// crowd measures calls of a few instances with many idle ones beside them, in turn with
// calls of those few alone, and how fast instances come and go.
func (b *bout) crowd(ctx context.Context, scene string) (figures []Figure, err error) {
	size := b.pick(crowdSize, crowdSize/5)
	p, err := b.startCrowd(ctx, smallGuest, size+1)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	active := size / crowdShare
	var alone, with, closed, made []float64
	phase := func(n int, micros, resized *[]float64) func() error {
		return func() error {
			r, err := p.do(crowdOrder{Instances: n, Active: active, Calls: b.pick(20_000, 2000)})
			if err == nil && r.Limit != "" {
				err = fmt.Errorf("%d of %d instances: %s", r.Instances, n, r.Limit)
			}
			*micros, *resized = append(*micros, r.Micros...), append(*resized, r.ResizeMS)
			return err
		}
	}
	if err := interleave(b.pick(4, 2), phase(active, &alone, &closed), phase(size, &with, &made)); err != nil {
		return nil, err
	}
	f := Figure{Case: scene, Metric: "active_p99", Unit: "us", N: len(with), Value: quantile(with, 0.99),
		Beside: map[string]float64{"alone": quantile(alone, 0.99)}, Note: fmt.Sprintf("%d of %d instances are called", active, size)}
	f.Ratio = over(f.Value, f.Beside["alone"])
	// The first phase makes its few, and each later one of its kind closes the rest.
	churn := Figure{Case: scene, Metric: "made_and_closed_per_s", Unit: "per_s", N: len(made) * (size - active), Note: "on one core"}
	churn.Value = over(1e3*float64(size-active), quantile(made, 0.5)+quantile(closed[1:], 0.5))
	return []Figure{f, churn}, nil
}
