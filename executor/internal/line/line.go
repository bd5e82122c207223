// Package line shares a few places for work that takes seconds between tenants. Where
// more jobs want a place than there are, the tenant with the least use goes first, and
// the jobs of one tenant go in the order in which they came. A job that runs long gives
// its place up for a while to a tenant that has had less, where the work can be paused.
//
//	job, err := l.Enter(ctx, line.Ask{Tenant: "acme", Memory: 100 << 20, Time: time.Minute})
//	if err != nil {
//		return err
//	}
//	defer job.Leave()
//	work(job.Context())
//
// So a tenant whose jobs never end makes another wait for a slice of time at most. Jobs
// that have begun keep the memory that they asked for, also while they are paused. When
// there is none left for a tenant that has had less, a job of the one that has had most
// is put out.
package line

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// Errors of jobs that were refused or put out. They are [executor.ErrQuota]: the tenant
// may come back.
var (
	// ErrFull says that as many jobs of the tenant wait as may.
	ErrFull = fmt.Errorf("%w: too many of its modules wait to be compiled; come back later", executor.ErrQuota)
	// ErrRoom says that a job was put out, as another tenant needed its memory.
	ErrRoom = fmt.Errorf("%w: other tenants needed the memory; come back later", executor.ErrQuota)
)

// ErrTime says that a job ran for longer than it had asked for.
var ErrTime = errors.New("took too long")

// Config configures a [Line]. All fields must be set.
type Config struct {
	Places  int           // jobs that run at once
	Memory  int64         // bytes that jobs which have begun have together
	Waiting int           // jobs of one tenant that wait at once
	Slice   time.Duration // that a job runs, and is ahead of another tenant, before it is paused for that
}

// halfLife is the time in which half of a tenant's use is forgotten.
const halfLife = time.Minute

// A Line is one line for all tenants. It may be used by many goroutines.
type Line struct {
	cfg Config

	mu    sync.Mutex
	jobs  []*Job // in the order in which they came
	used  map[string]use
	timer *time.Timer // looks again after a slice
}

// New returns a line without jobs.
func New(cfg Config) *Line { return &Line{cfg: cfg, used: map[string]use{}} }

// An Ask is what a job wants.
type Ask struct {
	Tenant string
	Memory int64         // bytes; more than there are in all means all
	Time   time.Duration // the longest that it may run; pauses do not count
}

// Work is what a job does, if it can be paused. Its methods must not block.
type Work interface {
	Pause()
	Resume()
}

// A state is where a job is.
//
//	waiting --place--> running --another tenant's turn--> paused --place--> running
type state int

const (
	waiting state = iota
	running
	paused
)

// A Job is a job in the line. Its methods may be used by one goroutine.
type Job struct {
	line  *Line
	ask   Ask
	ctx   context.Context
	end   context.CancelCauseFunc
	begin chan struct{} // closed when it first has a place

	// Guarded by line.mu.
	state state
	work  Work          // nil: it cannot be paused
	since time.Time     // when it got its place
	ran   time.Duration // before that
	out   bool          // it was put out
}

// Enter waits for a place. It returns ErrFull at once where the tenant has too many jobs
// that wait, and the cause of ctx when that ends first. The caller calls Leave at the end.
func (l *Line) Enter(ctx context.Context, ask Ask) (*Job, error) {
	ask.Memory = min(ask.Memory, l.cfg.Memory)
	j := &Job{line: l, ask: ask, begin: make(chan struct{})}
	j.ctx, j.end = context.WithCancelCause(ctx)
	if !l.join(j) {
		j.end(nil)
		return nil, fmt.Errorf("%w: %d wait", ErrFull, l.cfg.Waiting)
	}
	select {
	case <-j.begin:
		return j, nil
	case <-ctx.Done():
		j.Leave()
		return nil, context.Cause(ctx)
	}
}

// join adds j, and says whether its tenant may have one more that waits.
func (l *Line) join(j *Job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs = append(l.jobs, j)
	l.stepLocked()
	wait := 0
	for _, other := range l.jobs {
		if other.state == waiting && other.ask.Tenant == j.ask.Tenant {
			wait++
		}
	}
	if j.state == waiting && wait > l.cfg.Waiting {
		l.jobs = l.jobs[:len(l.jobs)-1]
		return false
	}
	return true
}

// Context ends with the one given to Enter, and when the job is put out: its cause is
// ErrRoom or ErrTime then.
func (j *Job) Context() context.Context { return j.ctx }

// Attach tells what the job does, so that it can be paused. It may be paused at once.
func (j *Job) Attach(w Work) {
	j.line.mu.Lock()
	defer j.line.mu.Unlock()
	j.work = w
	if j.state == paused {
		w.Pause()
	}
	j.line.stepLocked()
}

// Leave gives the place back. The work must have ended. It returns how long the job ran.
func (j *Job) Leave() time.Duration {
	l := j.line
	l.mu.Lock()
	defer l.mu.Unlock()
	j.stopLocked(time.Now())
	l.jobs = slices.DeleteFunc(l.jobs, func(other *Job) bool { return other == j })
	j.end(nil)
	l.stepLocked()
	return j.ran
}

// stopLocked charges a job that has a place for its time, and takes the place.
func (j *Job) stopLocked(now time.Time) {
	if j.state != running {
		return
	}
	took := now.Sub(j.since)
	j.state, j.ran = paused, j.ran+took
	j.line.chargeLocked(j.ask.Tenant, took, now)
}

// stepLocked does what is to be done now, and comes back as long as there are jobs.
func (l *Line) stepLocked() {
	now := time.Now()
	for {
		act, j := l.next(now)
		if act == nil {
			break
		}
		act(j, now)
	}
	if len(l.jobs) == 0 {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(l.cfg.Slice, l.step)
	}
	l.timer.Reset(l.cfg.Slice)
}

func (l *Line) step() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stepLocked()
}

// What is done to a job. line.mu is held.

func start(j *Job, now time.Time) {
	was := j.state
	j.state, j.since = running, now
	switch {
	case was == waiting:
		close(j.begin)
	case j.work != nil:
		j.work.Resume()
	}
}

func pause(j *Job, now time.Time) {
	j.stopLocked(now)
	j.work.Pause()
}

func putOut(why error) func(*Job, time.Time) {
	return func(j *Job, _ time.Time) {
		j.out = true
		j.end(why)
	}
}

// use is the time that a tenant has had, as of a moment.
type use struct {
	time time.Duration
	at   time.Time
}

// now returns what is left of u at now.
func (u use) now(now time.Time) time.Duration {
	return time.Duration(float64(u.time) * math.Exp2(-now.Sub(u.at).Seconds()/halfLife.Seconds()))
}

// chargeLocked adds to the use of a tenant, and forgets who has none left.
func (l *Line) chargeLocked(tenant string, took time.Duration, now time.Time) {
	for name, u := range l.used {
		if u.now(now) < time.Millisecond {
			delete(l.used, name)
		}
	}
	l.used[tenant] = use{l.used[tenant].now(now) + took, now}
}
