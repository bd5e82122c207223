package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// hangUp sends SIGHUP and waits until the log says how many times want.
func (p *process) hangUp(t *testing.T, want string, times int) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says(t, want, times)
}

// says waits until the log has that many matches of want.
func (p *process) says(t *testing.T, want string, times int) {
	t.Helper()
	re := regexp.MustCompile(want)
	await(t, fmt.Sprintf("the log to have %q %d times", want, times), func() bool { return len(re.FindAllString(p.log.String(), times)) == times })
}

// A trickle calls an elastic function over and over.
type trickle struct {
	calls, failed atomic.Int64
	quit          chan struct{}
	wg            sync.WaitGroup
}

func trickles(ctx context.Context, f *codegen.Func[[]byte, []byte], pace time.Duration) *trickle {
	c := &trickle{quit: make(chan struct{})}
	c.wg.Go(func() {
		again(c.quit, pace, func() bool {
			if got, err := f.Call(ctx, []byte("x")); err != nil || string(got) != "x" {
				c.failed.Add(1)
			}
			c.calls.Add(1)
			return ctx.Err() == nil
		})
	})
	return c
}

func (c *trickle) more(t *testing.T, n int64) {
	t.Helper()
	want := c.calls.Load() + n
	await(t, "calls", func() bool { return c.calls.Load() >= want })
}

func (c *trickle) stop() (failed int64) {
	close(c.quit)
	c.wg.Wait()
	return c.failed.Load()
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Under calls and an ordered channel a policy with a fault changes nothing, and one without holds at once;
// then come fresh certificates. No call is lost, and no message.
func TestReloadUnderTraffic(t *testing.T) {
	policy := writePolicy(t, "[default]\nmodels = []\n")
	config := writeConfig(t, "policy = \""+policy+"\"\nlog-level = \"info\"\n")
	p := startHost(t, "--config", config, "--metrics", "127.0.0.1:0")
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	calls := trickles(t.Context(), echo, 0)
	f := flows(t, elastic.Config{Deadline: patience})
	f.move(t, h.Target(p.addr), "edge-1")
	f.more(t, 100)

	rewrite(t, policy, "[default]\nmodels = []\nconect = []\n\n[[tenant]]\nname = \"ue\"\nquoota = {}\n")
	p.hangUp(t, "nothing is reloaded", 2)
	for _, want := range []string{"edge.toml:3:", "edge.toml:7:1"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not name %s", want)
		}
	}
	if page := scrape(t, p); !strings.Contains(page, "bungee_config_last_reload_successful 0") {
		t.Error("the metrics do not tell that the reload failed")
	}
	calls.more(t, 50)
	f.more(t, 100)

	denied := raw(t, "basic", 0, errNative)
	wasm, err := capability.Append(enginetest.Guest(t, "basic"), capability.Manifest{Env: []string{"REGION"}})
	if err != nil {
		t.Fatal(err)
	}
	denied.Module = codegen.NewModule(wasm)
	if err := h.Prepare(t.Context(), &denied.Desc); err == nil || !strings.Contains(err.Error(), "REGION") {
		t.Errorf("under the first policy a module that asks for REGION: %v", err)
	}
	rewrite(t, policy, "[default]\nenv = {REGION = \"eu\"}\n")
	p.hangUp(t, "msg=reloaded", 1)
	calls.more(t, 50)
	f.more(t, 100)

	renewCertificates(t, p.certs)
	p.hangUp(t, "msg=reloaded", 2)
	calls.more(t, 50)
	f.more(t, 100)
	if page := scrape(t, p); !strings.Contains(page, "bungee_config_last_reload_successful 1") {
		t.Error("the metrics do not tell that the reload succeeded")
	}
	if lost := fellBack(f.stop()); len(lost) > 0 {
		t.Errorf("the channel fell back: %+v", lost)
	}
	if failed := calls.stop(); failed > 0 {
		t.Errorf("%d of %d calls were not answered by the host", failed, calls.calls.Load())
	}
	h.Close()
	fresh := startUE(t, p)        // with the fresh authority's certificate
	ready(t, fresh, &denied.Desc) // which the policy grants by now
	ready(t, fresh, &echo.Desc)
	if got, err := echo.Call(t.Context(), []byte("x")); string(got) != "x" {
		t.Errorf("a UE of the fresh authority: %q, %v", got, err)
	}
}

// renewCertificates puts fresh ones, of a fresh authority, in place of those in dir. The authority before is
// trusted, too.
func renewCertificates(t *testing.T, dir string) {
	t.Helper()
	fresh := t.TempDir()
	if err := identity.Write(fresh); err != nil {
		t.Fatal(err)
	}
	var roots []byte
	for _, from := range []string{fresh, dir} {
		b, err := os.ReadFile(filepath.Join(from, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, b...)
	}
	rewrite(t, filepath.Join(fresh, "ca.pem"), string(roots))
	for _, name := range []string{"ca.pem", "host.pem", "host.key", "ue.pem", "ue.key"} {
		if err := os.Rename(filepath.Join(fresh, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A change that takes a grant away: the module's calls run on the UE from then on, and its channel moves
// there with its state.
func TestReloadTakesAGrantAway(t *testing.T) {
	policy := writePolicy(t, "[default]\nenv = {REGION = \"eu\"}\n")
	p := startHost(t, "--policy", policy)
	h := startUE(t, p)
	wasm, err := capability.Append(enginetest.Guest(t, "tally"), capability.Manifest{Env: []string{"REGION"}})
	if err != nil {
		t.Fatal(err)
	}
	e := tally(t)
	e.Module = codegen.NewModule(wasm)
	f := flowsOf(t, elastic.Config{}, e, 0)
	f.move(t, h.Target(p.addr), "edge-1")
	f.more(t, 100)
	rewrite(t, policy, "[default]\n")
	p.hangUp(t, "msg=reloaded", 1)
	await(t, "the channel to leave", func() bool { return f.ch.Where() == "" || t.Failed() })
	f.more(t, 100)
	await(t, "the refusal of a move back", func() bool { // the first one tells the UE that the module is gone
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := f.ch.Move(ctx, h.Target(p.addr))
		if err == nil {
			t.Fatal("it came back to a host that does not grant what it asks for")
		}
		return strings.Contains(err.Error(), "REGION")
	})
	f.more(t, 100)
	for _, e := range fellBack(f.stop()) {
		if !strings.Contains(e.Reason.Error(), "may use has changed") {
			t.Errorf("it left for %v", e.Reason)
		}
	}
}

// What a running host keeps is told, and what it obeys anew it does.
func TestReloadOfSettings(t *testing.T) {
	config := writeConfig(t, "calls = 3\n")
	p := startHost(t, "--config", config, "--log-level=warn") // which startHost's -v does not overrule
	rewrite(t, config, "calls = 4\nmemory-total = 512\nlisten = \":1\"\n")
	p.hangUp(t, "msg=reloaded", 1)
	if got := p.log.String(); !strings.Contains(got, `settings="[calls memory-total]"`) {
		t.Errorf("want calls and memory-total be told, and not listen, which the command line has: %s", got)
	}
	rewrite(t, config, "calls = 4\nmemory-total = 1\n")
	p.hangUp(t, "host.toml:2:1: memory-total: want a number from 128", 1)
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	p.hangUp(t, "no such file", 1)
	if err := os.Rename(filepath.Join(p.certs, "host.key"), filepath.Join(p.certs, "away")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, config, "")
	p.hangUp(t, "host.key: no such file", 1)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM ends it with %v", err)
	}
}

// In the JSON log each line is an object with the same keys, and the level follows the file.
func TestJSONLog(t *testing.T) {
	config := writeConfig(t, "log-format = \"json\"\n")
	p := startHost(t, "--config", config, "--verbose=false", "--policy", writePolicy(t, "[default]\nmeter = true\n"))
	rewrite(t, config, "log-format = \"json\"\nlog-level = \"debug\"\n")
	p.hangUp(t, `"msg":"reloaded"`, 1)
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	if _, err := echo.Call(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	h.Close()
	p.says(t, `"msg":"connection ends"`, 1)
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	saw := map[string]map[string]any{}
	for line := range strings.Lines(p.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%q is no JSON: %v", line, err)
			continue
		}
		for _, key := range []string{"time", "level", "msg"} {
			if _, ok := fields[key].(string); !ok {
				t.Errorf("%q has no %s", line, key)
			}
		}
		saw[fields["msg"].(string)] = fields
	}
	for msg, key := range map[string]string{"connection begins": "addr", "module is loaded": "module", "bill": "session"} {
		if saw[msg][key] == nil {
			t.Errorf("no line %q with %s: %v", msg, key, saw[msg])
		}
	}
	if cpu, _ := saw["bill"]["bill"].(map[string]any)["cpu"].(string); !regexp.MustCompile(`^\d.*s$`).MatchString(cpu) {
		t.Errorf("the bill's cpu is %q, want a duration as in the text", cpu)
	}
}

// scrape returns the metrics of p.
func scrape(t *testing.T, p *process) string {
	t.Helper()
	status, body := get(t, metricsOf(t, p))
	if status != http.StatusOK {
		t.Fatalf("metrics: status %d: %s", status, body)
	}
	return body
}
