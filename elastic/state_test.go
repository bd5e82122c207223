package elastic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/offload"
)

// A place is a target that only has a name.
type place string

func (p place) Name() string { return string(p) }

func (place) Prepare(context.Context, *offload.Desc) (Host, error) { return nil, nil }

// at makes an attachment at an edge host.
func at(host string) *attachment { return &attachment{target: place(host), name: host} }

// pairs is what each signal does in each phase: "-" is refused, and what follows the phase
// is released. The owner is at a, the one before it at o, the standby at s, the candidate at
// c; the ones that a signal brings are at a, s or n.
var pairs = []struct {
	signal                                          string
	serving, preparing, switching, fenced, endedNow string
}{
	{"move begins", "-", "-", "-", "-", "-"}, // old has still to answer
	{"move begins, nobody old", "preparing", "-", "-", "-", "-"},
	{"chosen n", "- n", "- n", "- n", "- n", "- n"}, // there is one
	{"chosen n, no candidate", "- n", "preparing", "- n", "fenced", "- n"},
	{"chosen the standby, no candidate", "-", "preparing", "-", "fenced", "- s"},
	{"chosen another at s, no candidate", "- s", "preparing s", "- s", "fenced s", "- s"},
	{"chosen at a, no candidate", "- a", "- a", "- a", "fenced", "- a"}, // where the lost one was
	{"chosen at o, no candidate", "- o", "- o", "- o", "fenced", "- o"},
	{"held", "-", "switching", "-", "-", "-"},
	{"took over c, all answered", "-", "-", "serving a", "serving", "-"},
	{"took over c, messages left", "-", "-", "serving", "serving", "-"}, // a becomes old
	{"took over UE", "-", "-", "-", "-", "-"},                           // c is the candidate
	{"took over UE, no candidate", "-", "-", "serving a s", "serving s", "-"},
	{"took over UE, no candidate, messages left", "-", "-", "-", "-", "-"},
	{"move fails", "-", "serving c", "serving c", "fenced c", "-"},
	{"move fails, of a spare candidate", "-", "serving", "serving", "fenced c", "-"},
	{"lost a", "fenced a o", "fenced a o c", "fenced a o c", "-", "-"},
	{"lost o", "fenced a o", "fenced a o c", "fenced a o c", "-", "-"},
	{"lost a, no standby", "fenced a o", "fenced a o", "fenced a o", "-", "-"}, // c stands by
	{"lost s", "serving s", "preparing s", "switching s", "fenced s", "-"},
	{"lost c", "-", "preparing c", "switching c", "fenced c", "-"},
	{"lost n", "-", "-", "-", "-", "-"}, // has no role
	{"stood by n", "- n", "- n", "- n", "- n", "- n"},
	{"stood by n, no standby", "serving", "preparing", "switching", "- n", "- n"},
	{"stood by a, no standby", "- a", "- a", "- a", "- a", "- a"},
	{"stood by o, no standby", "- o", "- o", "- o", "- o", "- o"},
	{"stood by c, no standby", "serving", "- c", "- c", "- c", "- c"}, // serving has no candidate
	{"answered the next", "serving", "preparing", "switching", "fenced", "-"},
	{"answered the last of o", "serving o", "preparing o", "switching o", "fenced", "-"},
	{"answered again", "-", "-", "-", "-", "-"},
	{"answered beyond what was sent", "-", "-", "-", "-", "-"},
	{"closes", "ended a o s", "ended a o s c", "ended a o s c", "ended s c", "-"},
}

// stateIn returns a state in phase p in which all roles are taken that can be.
func stateIn(p phase) state {
	s := state{phase: p, epoch: 7, sent: 20, delivered: 10, oldLast: 15}
	if p == ended {
		return s
	}
	s.owner, s.standby = at("a"), at("s")
	if p != fenced {
		s.old = at("o")
	}
	if p != serving {
		s.candidate = at("c")
	}
	return s
}

// play makes the state and the signal that a row of pairs names.
func play(s state, row string) (state, signal) {
	words, but, _ := strings.Cut(row, ", ")
	if strings.Contains(but, "nobody old") {
		s.old = nil
	}
	if strings.Contains(but, "no candidate") {
		s.candidate = nil
	}
	if strings.Contains(but, "no standby") {
		s.standby = nil
	}
	if strings.Contains(but, "spare") {
		s.standby, s.spare = nil, true
	}
	all := map[string]*attachment{"a": s.owner, "o": s.old, "s": s.standby, "c": s.candidate, "UE": nil}
	role := func(name string) *attachment {
		if a, ok := all[name]; ok && (a != nil || name == "UE") {
			return a
		}
		return at(name)
	}
	last := words[strings.LastIndex(words, " ")+1:]
	switch {
	case words == "move begins":
		return s, signal{kind: moveBegins}
	case words == "chosen the standby":
		return s, signal{kind: chosen, at: role("s")}
	case strings.HasPrefix(words, "chosen"):
		return s, signal{kind: chosen, at: at(last)}
	case words == "held":
		return s, signal{kind: held}
	case strings.HasPrefix(words, "took over"):
		g := signal{kind: tookOver, at: role(last)}
		if strings.Contains(but, "messages left") {
			g.seq = s.sent
		}
		return s, g
	case words == "move fails":
		return s, signal{kind: moveFails}
	case strings.HasPrefix(words, "lost"):
		return s, signal{kind: lost, at: role(last)}
	case strings.HasPrefix(words, "stood by"):
		return s, signal{kind: stoodBy, at: at(last)}
	case strings.HasPrefix(words, "answered"):
		return s, signal{kind: answered, seq: map[string]uint64{"next": 11, "o": 15, "again": 10, "sent": 21}[last]}
	}
	return s, signal{kind: closes}
}

// outcomeOf describes what a signal came to as pairs does.
func outcomeOf(next state, o orders) string {
	words := []string{next.phase.String()}
	if o.refused {
		words[0] = "-"
	}
	for _, a := range o.release {
		if a != nil {
			words = append(words, a.name)
		}
	}
	return strings.Join(words, " ")
}

func TestEverySignalInEveryPhase(t *testing.T) {
	kinds := map[signalKind]bool{}
	for _, row := range pairs {
		for p, want := range []string{row.serving, row.preparing, row.switching, row.fenced, row.endedNow} {
			s, g := play(stateIn(phase(p)), row.signal)
			kinds[g.kind] = true
			next, o := s.next(g)
			if got := outcomeOf(next, o); got != want {
				t.Errorf("%s in phase %s: %q, want %q", row.signal, phase(p), got, want)
			}
			if o.refused && next != s {
				t.Errorf("%s in phase %s: is refused, and changes %+v to %+v", row.signal, phase(p), s, next)
			}
			if want := !o.refused && next.phase == fenced && s.phase != fenced; o.recover != want {
				t.Errorf("%s in phase %s: recover is %t, want %t", row.signal, phase(p), o.recover, want)
			}
			if why := invariant(next); why != "" {
				t.Errorf("%s in phase %s: %s: %+v", row.signal, phase(p), why, next)
			}
		}
	}
	if len(kinds) != len(signalNames) {
		t.Errorf("the table has %d kinds of signals of %d", len(kinds), len(signalNames))
	}
}

// invariant says what is wrong with a state, "" for nothing.
func invariant(s state) string {
	hosts := map[Target]string{}
	roles := map[string]*attachment{"owner": s.owner, "old": s.old, "standby": s.standby, "candidate": s.candidate}
	if s.phase == fenced || s.phase == ended {
		delete(roles, "owner") // the last one
	}
	for role, a := range roles {
		if a == nil {
			continue
		}
		if other, ok := hosts[a.target]; ok {
			return fmt.Sprintf("%s and %s are both at %s", role, other, a.name)
		}
		hosts[a.target] = role
		if !s.counts(a) {
			return "the " + role + " does not count"
		}
	}
	switch {
	case s.phase == serving && s.candidate != nil:
		return "a candidate, and nobody brings it up"
	case s.phase == fenced && (s.owner == nil || s.old != nil || s.counts(s.owner)):
		return "somebody owns messages while the channel is fenced"
	case s.phase == ended && s.owners != owners{owner: s.owner}:
		return "somebody has a role after the end"
	case s.delivered > s.sent:
		return "more is delivered than was sent"
	case s.old != nil && (s.oldLast > s.sent || s.oldLast <= s.delivered):
		return "old has nothing to answer"
	case s.owner == nil && s.standby != nil:
		return "a standby for the UE"
	}
	return ""
}

// A walker plays a channel at random: hosts with their far endpoints, and what is released.
type walker struct {
	*rand.Rand
	state
	made     []*attachment
	released map[*attachment]bool
	epochs   map[uint32]*attachment
}

func (w *walker) make() *attachment {
	a := at(string(rune('a' + w.IntN(5))))
	w.made = append(w.made, a)
	return a
}

func (w *walker) any() *attachment {
	if len(w.made) == 0 || w.IntN(8) == 0 {
		return w.make()
	}
	return w.made[max(0, len(w.made)-1-w.IntN(6))]
}

// signal draws one that the channel may give: it never chooses a released attachment.
func (w *walker) signal() signal {
	switch k := signalKind(w.IntN(len(signalNames) - 1)); k {
	case chosen:
		if w.standby != nil && w.IntN(2) == 0 {
			return signal{kind: k, at: w.standby}
		}
		return signal{kind: k, at: w.make(), spare: w.IntN(2) == 0}
	case stoodBy:
		return signal{kind: k, at: w.make()}
	case tookOver:
		g := signal{kind: k, at: w.candidate}
		if w.candidate != nil && w.IntN(2) == 0 {
			g.seq = w.sent
		}
		return g
	case lost:
		return signal{kind: k, at: w.any()}
	case answered:
		return signal{kind: k, seq: w.delivered + 1}
	default:
		return signal{kind: k}
	}
}

// step plays a signal and says what it broke, "" for nothing.
func (w *walker) step(g signal) string {
	before := w.state
	next, o := w.next(g)
	w.state = next
	for _, a := range o.release {
		switch {
		case a == nil:
		case w.released[a]:
			return a.name + " is released twice"
		case w.counts(a):
			return a.name + " is released and has a role"
		default:
			w.released[a] = true
		}
	}
	if next.epoch != before.epoch { // one owner an epoch
		w.epochs[next.epoch] = next.candidate
		next.candidate.epoch = next.epoch
	}
	if next.owner != nil && next.phase != fenced && w.epochs[next.owner.epoch] != next.owner {
		return fmt.Sprintf("%s and %s own epoch %d", next.owner.name, w.epochs[next.owner.epoch].name, next.owner.epoch)
	}
	for _, a := range w.made { // what was given a role has one, or is released
		if had := a == before.owner || a == before.old || a == before.standby || a == before.candidate; had && !w.counts(a) && !w.released[a] && a != w.owner {
			return a.name + " has lost its role and is not released"
		}
	}
	return invariant(w.state)
}

func TestRandomWalk(t *testing.T) {
	for seed := range uint64(300) {
		w := &walker{Rand: rand.New(rand.NewPCG(seed, 1)), released: map[*attachment]bool{}, epochs: map[uint32]*attachment{}}
		var trace []string
		for range 300 {
			if w.phase != fenced && w.IntN(2) == 0 {
				w.sent++
			}
			g := w.signal()
			trace = append(trace, fmt.Sprintf("%s %v", g.kind, g.at != nil))
			if why := w.step(g); why != "" {
				t.Fatalf("seed %d: %s: %+v\nafter %q", seed, why, w.state, trace[max(0, len(trace)-12):])
			}
		}
		if why := w.wayOut(); why != "" {
			t.Fatalf("seed %d: %s: %+v", seed, why, w.state)
		}
	}
}

// wayOut takes a state to serving on the UE with all answered, and then to the end.
func (w *walker) wayOut() string {
	if w.phase == preparing || w.phase == switching {
		w.step(signal{kind: moveFails})
	}
	if w.phase == fenced {
		w.step(signal{kind: moveFails})
		w.step(signal{kind: tookOver})
	}
	for w.delivered < w.sent {
		if why := w.step(signal{kind: answered, seq: w.delivered + 1}); why != "" {
			return why
		}
	}
	for _, k := range []signalKind{moveBegins, held, tookOver} {
		if why := w.step(signal{kind: k}); why != "" {
			return why
		}
	}
	if w.phase != serving || w.owner != nil {
		return "there is no way home"
	}
	w.step(signal{kind: closes})
	for _, a := range w.made {
		if w.epochs[a.epoch] == a && !w.released[a] {
			return a.name + " is not released at the end"
		}
	}
	return ""
}

// TestJudge has each verdict: which outcomes count, and from whom.
func TestJudge(t *testing.T) {
	s := stateIn(serving)
	s.old.epoch, s.old.next, s.old.has = 6, 11, 15
	s.owner.epoch, s.owner.next, s.owner.has = 7, 16, 20
	tests := []struct {
		why   string
		from  *attachment
		epoch uint32
		seq   uint64
		want  verdict
	}{
		{"the old owner's next one", s.old, 6, 11, due},
		{"the new owner's first one waits for the old one's", s.owner, 7, 16, early},
		{"skips one", s.old, 6, 12, wrong},
		{"once more", s.old, 6, 10, wrong},
		{"of another epoch", s.old, 7, 11, wrong},
		{"not sent to it", s.owner, 7, 21, wrong},
		{"one without a role", at("n"), 6, 11, stale},
	}
	for _, tt := range tests {
		if got := s.judge(tt.from, tt.epoch, tt.seq); got != tt.want {
			t.Errorf("%s: verdict %d, want %d", tt.why, got, tt.want)
		}
	}
	fencedNow, _ := s.next(signal{kind: lost, at: s.owner})
	for _, a := range []*attachment{s.owner, s.old} {
		if got := fencedNow.judge(a, a.epoch, a.next); got != stale {
			t.Errorf("an outcome of %s counts after the owner was lost: verdict %d", a.name, got)
		}
	}
	if !slices.Contains(phaseNames[:], fencedNow.phase.String()) {
		t.Errorf("phase %d has no name", fencedNow.phase)
	}
}
