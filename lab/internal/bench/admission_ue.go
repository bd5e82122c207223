package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload"
)

// An AdmissionUE is a UE of the admission experiment, in a process of its own. It says that it is ready, waits for a line
// on its input, asks for a host, sends its frames, and prints what it saw.
type AdmissionUE struct {
	Certs   string        // folder with ue.pem
	Manager string        // address of the offload manager
	Edge    string        // or of an edge host that has none
	Work    Work          // that it has computed
	Rate    float64       // frames a second, as it says to the manager; 0: as many as Loops allow
	Sends   float64       // frames a second that it sends, at most; 0: Rate
	Loops   int           // that send the next frame after the answer; 0: a frame is sent when it is due
	Frames  int           // that it sends
	Hold    time.Duration // that it keeps its place from when it is given it; 0: until its last frame
}

// A UEReport is what a UE saw. Times count from the line on its input, in ms.
type UEReport struct {
	Outcome  string    `json:"outcome"` // served, refused, or failed
	Why      string    `json:"why,omitempty"`
	Decided  float64   `json:"decided_ms,omitempty"` // it was told where
	Ready    float64   `json:"ready_ms,omitempty"`   // the host could take its calls
	First    float64   `json:"first_ms,omitempty"`   // its first frame was answered
	Ended    float64   `json:"ended_ms,omitempty"`
	Sent     []float64 `json:"sent_ms,omitempty"`    // of each frame: when it was due
	Latency  []float64 `json:"latency_ms,omitempty"` // since then; -1: it had no answer in time
	Run      []float64 `json:"run_ms,omitempty"`     // of those answered, in their order: time in the host
	Lost     string    `json:"lost,omitempty"`       // why the first frame was lost that came to an error
	Hosts    []string  `json:"hosts,omitempty"`      // that answered, each time it was another one
	LateSent float64   `json:"late_sent_ms"`         // that a frame was sent after it was due, at most
}

// The outcomes.
const (
	outcomeServed  = "served"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// admissionPatience is how long a UE waits for its host: the paper's slowest waited 120 s.
const admissionPatience = 120 * time.Second

// Run is the process, until in ends.
func (u AdmissionUE) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	t, err := u.Work.open()
	if err != nil {
		return err
	}
	conf, err := ue.LoadTLS(u.Certs)
	if err != nil {
		return err
	}
	heard := &placeLog{placed: make(chan placeHeard, 1)}
	c := ue.Config{TLS: conf, Edge: u.Edge, Logger: slog.New(heard)}
	if u.Manager != "" {
		c.Managers = ue.Addresses{u.Manager}
		c.Need = u.need()
	}
	fmt.Fprintln(out, "ready")
	lines := bufio.NewReader(in)
	if _, err := lines.ReadString('\n'); err != nil {
		return nil // nobody wants it any more
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with in
		io.Copy(io.Discard, lines)
		cancel()
	}()
	s := &stream{AdmissionUE: u, task: t, begun: time.Now()}
	if err := s.run(ctx, c, heard); err != nil {
		s.report.Outcome, s.report.Why = outcomeFailed, err.Error()
	}
	return json.NewEncoder(out).Encode(s.report)
}

// need is what it asks the manager for. One whose next frame follows the answer has as many under way as it has loops, at no rate of its own:
// a lease of a rate would refuse the frames of a fast host.
func (u AdmissionUE) need() ue.Need {
	return ue.Need{Rate: u.Rate, InFlight: cmp.Or(u.Loops, 2), Latency: admissionWithin}
}

// A stream is what a UE does.
type stream struct {
	AdmissionUE
	*task
	begun time.Time

	mu     sync.Mutex
	report UEReport
}

// since returns the time since the beginning, in ms.
func (s *stream) since() float64 { return ms(time.Since(s.begun)) }

func (s *stream) run(ctx context.Context, c ue.Config, heard *placeLog) (err error) {
	h, err := ue.Start(ctx, c)
	if err != nil {
		return err
	}
	defer h.Close()
	placed, err := s.place(ctx, h, heard)
	if !placed || err != nil {
		return err
	}
	begin := time.Now()
	if s.Loops > 0 {
		s.closed(ctx)
	} else {
		s.open(ctx)
	}
	s.report.Outcome, s.report.Ended = outcomeServed, s.since()
	if s.Hold > 0 {
		wait(ctx, time.Until(begin.Add(s.Hold)))
	}
	return ctx.Err()
}

// place asks for a host, and waits until it takes calls, or is refused.
func (s *stream) place(ctx context.Context, h *ue.Handler, heard *placeLog) (placed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, admissionPatience)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- h.Prepare(ctx, s.desc) }() // ends with ctx
	for first := true; ; first = false {
		select {
		case p := <-heard.placed:
			if first {
				s.report.Decided = s.since()
			}
			if !p.placed {
				s.report.Outcome, s.report.Why, s.report.Ended = outcomeRefused, p.why, s.since()
				return false, nil
			}
		case err := <-ready:
			s.report.Ready = s.since()
			return err == nil, err
		}
	}
}

// open sends a frame whenever one is due, whatever has become of the others.
func (s *stream) open(ctx context.Context) {
	rate := s.Rate
	if s.Sends > 0 {
		rate = s.Sends
	}
	first := time.Now()
	var all sync.WaitGroup
	for i := range s.Frames {
		due := first.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		wait(ctx, time.Until(due))
		if ctx.Err() != nil {
			break
		}
		s.mu.Lock()
		s.report.LateSent = max(s.report.LateSent, ms(time.Since(due)))
		s.mu.Unlock()
		all.Go(func() { s.frame(ctx, i, due) })
	}
	all.Wait()
}

// closed sends each frame after the answer to the one before, in as many loops as there are, and none sooner than Sends allows.
func (s *stream) closed(ctx context.Context) {
	var all sync.WaitGroup
	for l := range s.Loops {
		all.Go(func() {
			for i := l; i < s.Frames && ctx.Err() == nil; i += s.Loops {
				begin := time.Now()
				s.frame(ctx, i, begin)
				if s.Sends > 0 {
					wait(ctx, time.Until(begin.Add(time.Duration(float64(time.Second)/s.Sends))))
				}
			}
		})
	}
	all.Wait()
}

// frame has frame i computed, which was due at a time.
func (s *stream) frame(ctx context.Context, i int, due time.Time) {
	var t offload.Trace
	err := s.call(offload.WithTrace(ctx, &t), i)
	took := time.Since(due)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.report
	r.Sent = append(r.Sent, ms(due.Sub(s.begun)))
	if err != nil || t.Host == "" || took > admissionWithin {
		r.Latency = append(r.Latency, -1)
		if err != nil && r.Lost == "" {
			r.Lost = err.Error()
		}
		return
	}
	r.Latency = append(r.Latency, tenth(ms(took)))
	r.Run = append(r.Run, ms(t.Run))
	if r.First == 0 {
		r.First = s.since()
	}
	if n := len(r.Hosts); n == 0 || r.Hosts[n-1] != t.Host {
		r.Hosts = append(r.Hosts, t.Host)
	}
}

// tenth rounds to a tenth, so that a file of many stays readable.
func tenth(x float64) float64 { return math.Round(10*x) / 10 }

// A placeHeard is what a manager said.
type placeHeard struct {
	placed bool
	why    string
}

// A placeLog hears in the log of a UE handler what the manager says: the handler asks again by itself when it is refused, and these
// UEs give up.
type placeLog struct{ placed chan placeHeard } // capacity 1: the UE may be busy; the newest counts

func (l *placeLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *placeLog) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *placeLog) WithGroup(string) slog.Handler                    { return l }

func (l *placeLog) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "placed by the offload manager") {
		return nil
	}
	var p placeHeard
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "hosts":
			names, _ := a.Value.Any().([]string)
			p.placed = len(names) > 0
		case "why":
			p.why = a.Value.String()
		}
		return true
	})
	select {
	case <-l.placed:
	default:
	}
	select {
	case l.placed <- p:
	default:
	}
	return nil
}
