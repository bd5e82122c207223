// Package line shares a few places for work that takes seconds between tenants. Where
// more jobs want a place than there are, the tenant with the least use goes first, and
// the jobs of one tenant go in the order in which they came. A job gives its place up for
// a while to a tenant that has had less, where the work can be paused.
//
//	job, err := l.Enter(ctx, line.Ask{Tenant: "acme", Memory: 100 << 20, Usual: time.Second, Time: time.Minute})
//	if err != nil {
//		return err
//	}
//	defer job.Leave()
//	for {
//		err := work(job.Context())
//		if !errors.Is(err, line.ErrRoom) {
//			return err
//		}
//		if err := job.Again(ctx); err != nil { // it was put out, and waits for its next turn
//			return err
//		}
//	}
//
// # Whose turn it is
//
// Jobs that run no longer than such work usually does are not interrupted for tenants that
// had had as much when they began: of eleven that come at once each has all of its turn,
// and not an eleventh of a place for eleven times as long. Of tenants that have had the
// same, to a slice, the one goes first whose job should end first. A job that is overdue
// yields as soon as its tenant is a slice ahead. So a tenant whose jobs never end makes
// another wait for a slice, or, when it is as new as the other, for what its job usually
// takes.
//
// # Memory
//
// Jobs that have begun keep the memory that they asked for, also while they are paused.
// When there is none left for a tenant that has had less, a job that would yield to it is
// put out: its work is lost, and it waits for another turn. Of those that were put out and
// have begun anew the one that has been in the line for longest is spared, so that what takes
// long ends too.
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
	// ErrRoom says that a job was put out, as another tenant needed its memory: see [Job.Again].
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
	Usual  time.Duration // what such work takes, after which it is overdue; zero: at once
	Time   time.Duration // the longest that it may run in a turn; pauses do not count
}

// Work is what a job does, if it can be paused. Its methods must not block.
type Work interface {
	Pause()
	Resume()
}

// A state is where a job is.
//
//	waiting --place--> running --another tenant's turn--> paused --place--> running
//	           running, paused --put out, and Again--> waiting
type state int

const (
	waiting state = iota
	running
	paused
)

// A Job is a job in the line. Its methods may be used by one goroutine.
type Job struct {
	line *Line
	ask  Ask
	ctx  context.Context // of this turn

	// Guarded by line.mu.
	end   context.CancelCauseFunc // of ctx
	begin chan struct{}           // closed when it has a place for the first time in this turn
	state state
	work  Work          // nil: it cannot be paused
	since time.Time     // when it got its place
	ran   time.Duration // in this turn, before that
	out   bool          // it was put out, and has not left or come back
	again bool          // it was put out and came back
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
	if err := wait(ctx, j.begin); err != nil {
		j.Leave()
		return nil, err
	}
	return j, nil
}

// wait waits until begin is closed.
func wait(ctx context.Context, begin <-chan struct{}) error {
	select {
	case <-begin:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Again waits for another turn of a job that was put out with ErrRoom. Its work must have
// ended, and begins anew, with another Context. Again returns the cause of ctx when that ends
// first.
func (j *Job) Again(ctx context.Context) error { return wait(ctx, j.queue(ctx)) }

// queue puts j back to where it was in the line before it began.
func (j *Job) queue(ctx context.Context) (begin <-chan struct{}) {
	j.line.mu.Lock()
	defer j.line.mu.Unlock()
	j.stopLocked(time.Now())
	j.end(nil)
	j.ctx, j.end = context.WithCancelCause(ctx)
	j.begin = make(chan struct{})
	j.state, j.work, j.ran = waiting, nil, 0
	j.out, j.again = false, true
	j.line.stepLocked()
	return j.begin
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

// Leave gives the place back. The work must have ended. It returns how long the job ran,
// in its last turn.
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
