package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/browse"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// A fakeEdge has two hosts to which things can be done.
type fakeEdge struct {
	mu   sync.Mutex
	done []string
}

var errBusy = errors.New("edge-2: it does not run")

func (e *fakeEdge) act(_ context.Context, host string, a Action) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = append(e.done, string(a)+" "+host)
	if host == "edge-2" {
		return errBusy
	}
	return nil
}

func (e *fakeEdge) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.done, ", ")
}

// board returns a made-up board: edge-1 is in use, edge-2 is dead.
func board() Board {
	unknown := report.Number(math.NaN())
	return Board{
		Manager: "127.0.0.1:4434", Source: "run by this demo", Others: 4, Waiting: 1,
		Lease: Lease{State: "running", ID: "1a2b3c4d", Host: "edge-1", Calls: 132, Why: "placed on edge-1, since it asked (predicted: 41.0 ms, of which 19.5 in the host, 31 % of its turns)"},
		Hosts: []Host{
			{Name: "edge-1", State: "ready", Role: "in use", Sessions: 4, Load: 1.32, Cores: 2, Capacity: 1.84, LInf: 24.5, RTT: 0.4, Actions: []Action{Kill, Drain, Empty}},
			{Name: "edge-2", State: "dead", Note: "back in 9 s", Sessions: 0, Load: unknown, Cores: unknown, Capacity: unknown, LInf: unknown, RTT: unknown, Actions: []Action{Serve}},
		},
	}
}

// happened are made-up events of 600 frames.
func happened() []Event {
	full := "no host, since it asked: edge-1 would use 1.92 turns, over 1.70"
	all := []Event{
		{0, "host", "edge-1", "", false, "has come"}, {0, "host", "edge-2", "", false, "has come"},
		{1, "probe", "edge-1", "", false, "module 0102 took 18.2 ms"}, {1, "probe", "edge-2", "", false, "module 0102 took 18.9 ms"},
		{2, "placed", "edge-2", "", false, "placed on edge-2, since it asked"},
		{90, "host", "edge-2", "", false, "is silent"}, {90, "move", "edge-1", "edge-2", false, "moves from edge-2 to edge-1, since its host cannot keep it: edge-2 is silent"},
	}
	for n := 120; n < 240; n += 30 {
		all = append(all, Event{n, "placed", "edge-1", "", true, "placed on edge-1, since it asked"})
	}
	return append(all, Event{Frame: 250, Kind: "refusal", Others: true, Text: full})
}

// request returns what the page itself would send.
func request(t *testing.T, p *Page, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"act", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", strings.TrimSuffix(p.URL(), "/"))
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Bungee-Token", p.token)
	return r
}

// Something is done only for the page itself, and only what its table offers.
func TestOnlyThePageActs(t *testing.T) {
	const kill = `{"action":"kill","host":"edge-1"}`
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name, why, body string
		change          func(*http.Request)
		want            int
		done            string
	}{
		{"the page", "as edge.js sends it", kill, nil, 204, "kill edge-1"},
		{"it fails", "the reason is told", `{"action":"serve","host":"edge-2"}`, nil, 409, "serve edge-2"},
		{"another site", "a script there can have the browser send this", kill, header("Origin", "http://evil.example"), 403, ""},
		{"no origin", "a form of old browsers, or no browser", kill, header("Origin", ""), 403, ""},
		{"an opaque origin", "a sandboxed frame", kill, header("Origin", "null"), 403, ""},
		{"another port", "another server on this machine", kill, header("Origin", "http://127.0.0.1:1"), 403, ""},
		{"same site only", "what the browser itself says", kill, header("Sec-Fetch-Site", "same-site"), 403, ""},
		{"rebound name", "a site whose name points to 127.0.0.1", kill, func(r *http.Request) { r.Host = "evil.example"; r.Header.Set("Origin", "http://evil.example") }, 403, ""},
		{"no token", "the site cannot read it", kill, header("Bungee-Token", ""), 403, ""},
		{"another token", "of a run before", kill, header("Bungee-Token", strings.Repeat("A", 26)), 403, ""},
		{"a form", "text needs no permission from another site", kill, header("Content-Type", "text/plain"), 403, ""},
		{"not offered", "a dead host is not killed", `{"action":"kill","host":"edge-2"}`, nil, 400, ""},
		{"no such host", "", `{"action":"kill","host":"edge-9"}`, nil, 400, ""},
		{"no such action", "", `{"action":"format","host":"edge-1"}`, nil, 400, ""},
		{"more fields", "", `{"action":"kill","host":"edge-1","signal":9}`, nil, 400, ""},
		{"too long", "", `{"action":"kill","host":"` + strings.Repeat("x", maxOrder) + `"}`, nil, 400, ""},
		{"no JSON", "", "kill", nil, 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			edge := &fakeEdge{}
			p := listen(t, Info{Act: edge.act})
			p.Board(board())
			r := request(t, p, tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != tt.want || edge.all() != tt.done {
				t.Errorf("status %d (%s), %v, done %q; want %d and %q: %s", resp.StatusCode, text, err, edge.all(), tt.want, tt.done, tt.why)
			}
			if tt.want == 409 && !strings.Contains(string(text), errBusy.Error()) {
				t.Errorf("the reason is %q; want %q", text, errBusy)
			}
		})
	}
}

// Without a board, or without Act, there is nothing to press; nor on a page that others can reach.
func TestPagesWithoutButtons(t *testing.T) {
	edge := &fakeEdge{}
	everywhere, err := Listen("0.0.0.0:0", Info{Act: edge.act})
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	everywhere.Board(board())
	for name, p := range map[string]*Page{"no board": listen(t, Info{Act: edge.act}), "no act": listen(t, Info{}), "everywhere": everywhere} {
		r := request(t, p, `{"action":"kill","host":"edge-1"}`)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 || edge.all() != "" {
			t.Errorf("%s: status %d, done %q; want a refusal", name, resp.StatusCode, edge.all())
		}
	}
	if b, _, _ := everywhere.since(seen{}); everywhere.info.Token != "" || len(b.Board.Hosts[0].Actions) != 0 {
		t.Errorf("a page for everybody has token %q and actions %v; want none", everywhere.info.Token, b.Board.Hosts[0].Actions)
	}
}

// Text from hosts and managers is bounded, and so are events.
func TestEdgeIsBounded(t *testing.T) {
	p := listen(t, Info{})
	long := strings.Repeat("x", 10*maxText)
	p.Board(Board{Manager: long, Hosts: []Host{{Name: long}}, Lease: Lease{Why: long}})
	for n := range 2 * maxEvents {
		p.Event(Event{Frame: n, Host: long, Text: long})
	}
	b, _, _ := p.since(seen{})
	if len(b.Events) > maxEvents || len(b.Events) < maxEvents/2 || b.Events[len(b.Events)-1].Frame != 2*maxEvents-1 {
		t.Errorf("%d events are kept; want the newest %d or so", len(b.Events), maxEvents)
	}
	for _, s := range []string{b.Board.Manager, b.Board.Hosts[0].Name, b.Board.Lease.Why, b.Events[0].Host, b.Events[0].Text} {
		if len(s) > maxText+len("…") {
			t.Errorf("a text of %d bytes", len(s))
		}
	}
}

// The table of hosts, its buttons, and what happened, as a viewer sees them in both colours and on a phone.
func TestEdgeInABrowser(t *testing.T) {
	for _, look := range []struct {
		name          string
		width, height int64
		colours       browse.Scheme
	}{{"dark", 1366, 900, browse.Dark}, {"light", 1366, 900, browse.Light}, {"phone", 390, 844, browse.Light}} {
		t.Run(look.name, func(t *testing.T) {
			edge := &fakeEdge{}
			p := listen(t, Info{Model: "yolo-fastest-1.1-xl", TempSource: "modelled", Toggle: 50, Frames: 600, UECPU: 0.25, Act: edge.act})
			for n := range 300 {
				p.Frame(frame(n))
			}
			for _, e := range happened() {
				p.Event(e)
			}
			p.Picture(picture(t, 10))
			p.Board(board())
			ctx := browse.Open(t, p.URL(), look.width, look.height, look.colours)
			browse.Until(t, ctx, "the hosts", `document.querySelectorAll("#hosts tr").length === 2`)
			browse.Until(t, ctx, "the events", fmt.Sprintf(`document.getElementById("chart-control").dataset.events === "%d"`, len(happened())))
			browse.Until(t, ctx, "a picture", `document.getElementById("picture").naturalWidth > 0`)
			checkTexts(t, ctx, map[string]string{
				"manager": "127.0.0.1:4434", "lease": "Your frames may use edge-1, with nobody standing by. Lease 1a2b3c4d, 132 calls. Sessions of others: 4, 1 of them refused.",
				"eventlist": "frame 90moveedge-2 → edge-1: moves from edge-2 to edge-1",
			})
			for host, want := range map[string]string{"edge-1": "edge-1in use|ready|4|1.32 of 2 cores|1.84 cores|24.5 ms|0.4 ms|KillDrainEmpty", "edge-2": "edge-2|dead, back in 9 s|0|–|–|–|–|Use again"} {
				got := browse.Eval[string](t, ctx, fmt.Sprintf(`[...document.querySelector('tr[data-host="%s"]').children].map((c) => c.textContent).join("|")`, host))
				if got != want {
					t.Errorf("the row of %s is %q; want %q", host, got, want)
				}
			}
			if wide := browse.Eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > look.width {
				t.Errorf("the page is %d pixels wide on a screen of %d", wide, look.width)
			}
			if cut := browse.Eval[int64](t, ctx, `(() => { const w = document.querySelector(".wide"); return w.scrollWidth - w.clientWidth; })()`); cut > 0 {
				t.Errorf("%d pixels of the table are cut", cut)
			}
			browse.Shoot(t, ctx, "edge-"+look.name+".png")

			// A row stays while its figures change, so a press is not lost.
			browse.Eval[bool](t, ctx, `(window.kept = document.querySelector('tr[data-host="edge-1"] button[data-action="drain"]'), true)`)
			next := board()
			next.Lease.Calls = 140
			p.Board(next)
			browse.Until(t, ctx, "the next board", `document.getElementById("lease").textContent.includes("140 calls")`)
			browse.Eval[bool](t, ctx, `(window.kept.click(), window.kept.isConnected)`)
			browse.Until(t, ctx, "what was done", `document.getElementById("acted").textContent === "Drain edge-1: done"`)
			browse.Eval[bool](t, ctx, `(document.querySelector('tr[data-host="edge-2"] button').click(), true)`)
			browse.Until(t, ctx, "what failed", `document.getElementById("acted").textContent === "Use again edge-2: edge-2: it does not run"`)
			if got := edge.all(); got != "drain edge-1, serve edge-2" {
				t.Errorf("done: %q", got)
			}
			// Pointing at a frame tells what happened there.
			browse.Eval[bool](t, ctx, `(state.hover = 90, redraw(), true)`)
			browse.Until(t, ctx, "the move at frame 90", `charts.find((c) => c instanceof Lanes).output.value.startsWith("frame 90, move: edge-2 \u2192 edge-1")`)
		})
	}
}
