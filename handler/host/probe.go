package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Bounds of a probe.
const (
	maxProbes = 16                     // runs, or samples of calls
	probeTime = 450 * time.Millisecond // for all its runs: a manager waits for 500 ms, and the answer has a way to go
)

// leftOut is how many hundredths longer a call takes than its stand-in, which leaves out the guest's own work, and the frame's way in and out.
// The experiment of paper 000 measures 4 to 26.
const leftOut = 10

// ofStandIn tells the manager that samples are those of a stand-in.
const ofStandIn = "of a stand-in: an image through the module's network, without the module"

// probe says how long calls of module take in a turn without a wait: n runs of what the module is to be probed with, or of
// what stands for it, or as many of them as nobody waits for, else its last calls. Where the module is not loaded it is taken from the engine's
// cache, which finds it by the tenant of the UE whose ID is who; empty: it is not looked for. The answer says how long nothing is run again.
// One goroutine at a time calls it.
func (m *managed) probe(ctx context.Context, module digest, n int, who string) (did wire.Did, err error) {
	if did.RetryAfter = m.ration.wait(time.Now()); did.RetryAfter > 0 {
		did.Samples, err = m.lastCalls(module, n, errRationed)
		return did, err
	}
	begin := time.Now()
	samples, standIn, err := m.runProbes(ctx, module, n, who)
	end := time.Now()
	m.ration.spend(end, end.Sub(begin), errors.Is(err, errBusy))
	did.RetryAfter = m.ration.wait(end)
	switch {
	case len(samples) > 0:
		if did.Samples = samples; standIn {
			did.Why = ofStandIn
			for i, took := range samples {
				samples[i] = took + took/100*leftOut
			}
		}
		return did, nil
	case err == nil: // none was asked for
		return did, noModule(module)
	case isNoModule(err), gaveWay(err):
		did.Samples, err = m.lastCalls(module, n, err)
	}
	return did, err
}

// runProbes runs what module is to be probed with, n times at most, and says why not as often. It loads the module if it has to.
func (m *managed) runProbes(ctx context.Context, module digest, n int, who string) (samples []time.Duration, standIn bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	n = min(n, maxProbes)
	samples, standIn, err = m.h.deployed.probe(ctx, module, n, &m.probes)
	if n == 0 || !isNoModule(err) || who == "" {
		return samples, standIn, err
	}
	if err := m.fetch(ctx, module, who); err != nil {
		return nil, false, err
	}
	return m.h.deployed.probe(ctx, module, n, &m.probes)
}

// fetch loads a module of a UE's tenant from the engine's cache, for a probe: nobody waits for it, so it is loaded while a core is free.
func (m *managed) fetch(ctx context.Context, module digest, who string) error {
	owner, err := ownerOf(lease.Lease{UE: who})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turn := m.h.turns.TakeSpare(nil, func() { cancel(executor.ErrWanted) })
	if turn == nil {
		return errBusy
	}
	defer turn.Done()
	t := m.h.enter(owner)
	defer m.h.leave(t)
	err = m.h.deployed.haveSpare(ctx, t, module)
	if errors.Is(err, executor.ErrWanted) {
		return errBusy
	}
	return err
}

// lastCalls returns how long the last n calls of module took in a turn, or err where there were none.
func (m *managed) lastCalls(module digest, n int, err error) ([]time.Duration, error) {
	if samples := m.loads.samples(module, min(n, maxProbes)); len(samples) > 0 {
		return samples, nil
	}
	return nil, err
}

// errBusy says that a probe gave way.
var errBusy = &wire.Fail{Code: offload.CodeOverloaded, Text: "calls want the cores that a probe would run on; ask again later"}

// errRationed says that probes have had their part of the host.
var errRationed = &wire.Fail{Code: offload.CodeOverloaded, Text: "the host has been probed as much as calls bear, or calls wanted the core of a probe just then; ask again later"}

// gaveWay says whether err is no fault of the module: there was no time to run it.
func gaveWay(err error) bool {
	return errors.Is(err, errBusy) || errors.Is(err, context.DeadlineExceeded)
}

// probe runs what a deployment of m, of whichever tenant, is to be probed with, n times, or until ctx ends, or what stands for
// it. It returns what the runs took that came to their end, and why there are not n. Where there is nothing to run that
// is noModule.
func (ds *deployments) probe(ctx context.Context, m digest, n int, pay *executor.Account) (samples []time.Duration, standIn bool, err error) {
	d := ds.probed(m)
	if d == nil {
		return nil, false, noModule(m)
	}
	defer ds.done(d)
	if err := d.module.why; err != nil {
		return nil, false, badModule(err)
	}
	standIn = len(d.module.probes) == 0
	ctx = executor.WithCall(ctx, &executor.Call{Account: pay})
	for i := range n {
		took, err := d.probe(ctx, ds.h.turns, i)
		if err != nil {
			return samples, standIn, err
		}
		samples = append(samples, took)
	}
	return samples, standIn, nil
}

// probed returns a deployment of m that can be probed, else one whose module says why not, or one that something stands
// for, or nil. The caller calls done after its last use.
func (ds *deployments) probed(m digest) (found *deployment) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	best := 0
	for key, d := range ds.all {
		if key.digest == m && d.isReady() && d.probeRank() > best {
			found, best = d, d.probeRank()
		}
	}
	if found != nil {
		found.users++ // it is as old as before to who makes room
	}
	return found
}

// probeRank says how well a probe of d would answer; 0: there is none.
func (d *deployment) probeRank() int {
	switch {
	case len(d.module.probes) > 0:
		return 3
	case d.module.why != nil:
		return 2
	case d.standIn != nil:
		return 1
	}
	return 0
}

// probe makes the i-th run.
func (d *deployment) probe(ctx context.Context, turns *executor.Turns, i int) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.deadline)
	defer cancel()
	if len(d.module.probes) == 0 {
		took, err = d.standIn.spare(ctx, turns)
	} else {
		took, err = d.spare(ctx, d.module.probes[i%len(d.module.probes)])
	}
	switch {
	case errors.Is(err, executor.ErrWanted):
		err = errBusy
	case err != nil && ctx.Err() != nil: // it was stopped
		err = context.Cause(ctx)
	}
	return took, err
}

// spare runs s where a core is free, until a call wants that, or what else s has: the error is executor.ErrWanted then.
func (s StandIn) spare(ctx context.Context, turns *executor.Turns) (took time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turn := turns.TakeSpare(nil, func() { cancel(executor.ErrWanted) })
	if turn == nil {
		return 0, executor.ErrWanted
	}
	defer turn.Done()
	took, err = s(executor.WithCall(ctx, &executor.Call{Account: executor.AccountOf(ctx), Turn: turn}))
	if err != nil && context.Cause(ctx) == executor.ErrWanted {
		err = executor.ErrWanted
	}
	return took, err
}

// spare runs p in an instance.
func (d *deployment) spare(ctx context.Context, p capability.Probe) (took time.Duration, err error) {
	err = d.pool.Spare(ctx, p.Fn, p.Request, func(a executor.Answer) error {
		took = a.Run
		if a.Status != abi.OK {
			return &wire.Fail{Code: offload.CodeTrapped, Started: true, Text: fmt.Sprintf("function %d does not answer what its module is to be probed with", p.Fn)}
		}
		return nil
	})
	return took, err
}

// keepProbes keeps what the bytes of a module say it is to be probed with; the tenant that has brought it holds that.
func (s *shared) keepProbes(t *tenant, wasm []byte) {
	probes, err := capability.ReadProbes(wasm)
	if errors.Is(err, capability.ErrWasm) {
		return // an engine decides what is a module
	}
	var n int64
	for _, p := range probes {
		n += int64(len(p.Request))
	}
	if err == nil {
		err = t.HoldMemory(n)
	}
	if err != nil {
		s.why = fmt.Errorf("what the module is to be probed with: %w", err)
		return
	}
	s.probes, s.release = probes, func() { t.ReleaseMemory(n) }
}

// Close frees the module.
func (s *shared) Close() error {
	if s.release != nil {
		s.release()
	}
	return s.Module.Close()
}
