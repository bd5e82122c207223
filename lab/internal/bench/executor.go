package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Executor configures the benchmark of the executor: cold start, calls, density,
// neighbours, kernels and metering on each engine, and detectors.
type Executor struct {
	Setup
	// Engines are what is measured.
	Engines []Engine
	// GoModule is the file of a Go module that offloadgen made.
	GoModule string
	// Fresh makes the commands of processes that run a [FreshHost], by what is
	// said of their program. One that is not built has an empty Path.
	Fresh []FreshProgram
	// Crowd makes the command of a process that runs a [Crowd].
	Crowd func(Crowd) *exec.Cmd
	// Detectors are the nn backends to compare on the same model, the slower one first. If
	// they are missing, NoDetectors says why.
	Detectors   []Detector
	NoDetectors string
	// Out is the folder for executor.png. Empty: none is drawn.
	Out string

	brief bool // for tests: measures are of a few values
}

// An Engine is a way to make engines.
type Engine struct {
	Name string
	// Aims says that its figures have targets: it is the engine of edge hosts.
	Aims bool
	// New makes an engine that caches in dir and has room for the given number of
	// instances; 0 leaves that to the engine.
	New func(dir string, instances int) (executor.Engine, error)
}

// A Detector is an nn backend that serves a model.
type Detector struct {
	Name  string
	Model string
	Open  func(ctx context.Context) (b nn.Backend, done func() error, err error)
}

// Run measures.
func (x Executor) Run(ctx context.Context) (figures []Figure, err error) {
	s := &stage{Executor: x, goWasm: map[guestName][]byte{}, fuel: fuelTable{}}
	defer func() { err = errors.Join(err, s.end()) }()
	if err := s.begin(); err != nil {
		return nil, err
	}
	var scenes []scene
	for _, e := range x.Engines {
		scenes = append(scenes, s.scenes(e)...)
	}
	scenes = append(scenes, scene{"detector", s.detectors})
	if figures, err = x.play(ctx, "executor", scenes); err != nil {
		return nil, err
	}
	if x.Out != "" {
		err = drawTargets(x.Out, "executor.png", figures)
	}
	return figures, err
}

// A stage is what the scenes share.
type stage struct {
	Executor
	dir    string // for caches and modules
	extism *extismProcess
	goWasm map[guestName][]byte
	fuel   fuelTable
}

func (s *stage) begin() (err error) {
	if s.dir, err = os.MkdirTemp("", "bungee-bench-"); err != nil {
		return err
	}
	s.extism, err = startExtism(s.Yardstick)
	return err
}

func (s *stage) end() error { return errors.Join(s.extism.end(), os.RemoveAll(s.dir)) }

// scenes are those of an engine.
func (s *stage) scenes(e Engine) []scene {
	b := &bout{stage: s, engine: e}
	scenes := []scene{
		{"cold start/small", b.coldStart(smallGuest)},
		{"cold start/c", b.coldStart(cGuest)},
		{"cold start/go", b.coldStart(goGuest)},
		{"fresh process/c", b.fresh(cGuest)},
		{"fresh process/go", b.fresh(goGuest)},
		{"empty call", b.emptyCall},
		{"1 MB", b.megabyte},
		{"density/small", b.density(smallGuest)},
		{"density/go", b.density(goGuest)},
		{"crowd", b.crowd},
		{"neighbours/light", b.neighbours(light)},
		{"neighbours/busy", b.neighbours(busy)},
		{"edges 640x480", b.edges},
		{"metering", b.metering},
		{"fuel as time", b.fuelAsTime},
	}
	for i := range scenes {
		scenes[i].name = e.Name + "/" + scenes[i].name
	}
	return scenes
}

// A bout is what is measured of one engine.
type bout struct {
	*stage
	engine Engine
}

// aim gives f a target where the engine has targets.
func (b *bout) aim(f Figure, op string, target float64) Figure {
	if !b.engine.Aims {
		return f
	}
	return f.against(op, target)
}

// open makes an engine with a cache of its own name.
func (b *bout) open(name string) (executor.Engine, error) {
	return b.engine.New(b.cache(name), 0)
}

// cache returns a folder for compiled modules.
func (b *bout) cache(name string) string {
	return fmt.Sprintf("%s/%s-%s", b.dir, b.engine.Name, name)
}

// sample calls f until it has n values, or until budget has passed and it has one.
func sample(ctx context.Context, n int, budget time.Duration, f func() (time.Duration, error)) ([]time.Duration, error) {
	var took []time.Duration
	for begin := time.Now(); len(took) < n && (len(took) < 1 || time.Since(begin) < budget); {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d, err := f()
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return took, nil
}

// pick returns quick if the benchmark is a quick one, else full.
func (s *stage) pick(full, quick int) int {
	if s.brief {
		return max(1, quick/10)
	}
	return s.Setup.pick(full, quick)
}

// budget is how long a measurement may take that is one of several of a scene.
func (s *stage) budget() time.Duration {
	switch {
	case s.brief:
		return time.Millisecond
	case s.Quick:
		return 150 * time.Millisecond
	}
	return 3 * time.Second
}

// interleave calls each of f once a round, in turn.
func interleave(rounds int, f ...func() error) error {
	for range rounds {
		for _, g := range f {
			if err := g(); err != nil {
				return err
			}
		}
	}
	return nil
}

// least returns the smallest value: of the times of a fixed piece of work, the one that
// others disturbed least.
func least(d []time.Duration) time.Duration { return slices.Min(d) }
