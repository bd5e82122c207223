package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// A day of an operator with three tenants and two hosts, by the commands of docs/identities.md and with the
// signals that the unit sends. Each UE calls all day, and has an ordered channel: nothing of them is
// lost, and while no host is drained and no authority dropped, the hosts serve it all.
func TestOperatorsDay(t *testing.T) {
	next := nextBuild(t)
	o := opens(t)
	o.goesOn("begin", true)
	o.reloads()
	o.goesOn("reload of a wrong policy, and of a right one", true)
	o.revokes()
	o.goesOn("revocation of a device in mid-call", true)
	o.renews()
	o.goesOn("renewal of all", true)
	o.rotates()
	o.goesOn("rotation of the authority", false)
	for _, b := range []struct{ label, build string }{{"the next build", next}, {"the build before", program}} {
		for n := range o.hosts {
			o.upgrades(n, b.build)
			o.goesOn("drain of "+o.names[n]+" and start of "+b.label, false)
		}
	}
	o.closes()
}

// An operator has an authority, two hosts, and the UEs of three tenants.
type operator struct {
	t        *testing.T
	dir      string // the authority's
	names    []string
	hosts    []*process
	policies []string
	ues      []*device
	thief    *device // has stolen a UE of the first tenant
	places   []place // all but the thief's
	begun    time.Time
}

// A device is a UE, with its traffic.
type device struct {
	*ue.Handler
	place
	tenant      string
	home, other int // hosts
	router      route.Router
	echo        *codegen.Func[[]byte, []byte]
	natives     atomic.Int64 // calls of echo that ran here
	calls       *trickle
	flow        *flow
}

// A place is a device's folder: where the authority makes it, and where the device has it.
type place struct{ file, made, used string }

// byFunction is the router of a process with several UEs: each has functions of its own.
type byFunction map[*offload.Desc]route.Router

func (b byFunction) Route(d *offload.Desc) *route.Way { return b[d].Route(d) }

// pace is the time between two calls, and two messages, of a UE.
const pace = 10 * time.Millisecond

// patience is longer than any pause of a machine that tests much at once: a call that ran on its UE must mean more.
const patience = time.Minute

// opens makes the identities, starts hosts and UEs, and has traffic begin.
func opens(t *testing.T) *operator {
	o := &operator{t: t, dir: filepath.Join(t.TempDir(), "ca"), names: []string{"edge-1", "edge-2"}, begun: time.Now()}
	ca(t, o.dir, "init", "--name", "acme.example")
	for _, name := range o.names {
		policy := writePolicy(t, "[default]\n")
		config := writeConfig(t, "policy = \""+policy+"\"\ncall-limit = \"2m\"\nmetrics = \"127.0.0.1:0\"\n")
		place := o.issues("host", name)
		p := startHost(t, "--config", config, "--certs", place.used, "--name", name)
		p.certs = place.used
		o.hosts, o.policies, o.places = append(o.hosts, p), append(o.policies, policy), append(o.places, place)
	}
	routes := byFunction{}
	before := route.Use(nil)
	t.Cleanup(func() { route.Use(before) })
	for n, tenant := range []string{"acme", "globex", "initech"} {
		o.ues = append(o.ues, o.starts(tenant, "headset-1", (n+1)%2, routes))
	}
	for _, d := range o.ues {
		o.places = append(o.places, d.place)
	}
	o.thief = o.starts("acme", "headset-2", 0, routes)
	route.Use(routes)
	for _, d := range o.ues {
		o.begins(d)
	}
	return o
}

// issues makes a device's identity and takes it there.
func (o *operator) issues(role string, args ...string) place {
	o.t.Helper()
	p := place{role + ".pem", folderIn(ca(o.t, o.dir, append([]string{"issue", role}, args...)...)), filepath.Join(o.t.TempDir(), "certs")}
	if err := os.Mkdir(p.used, 0o700); err != nil {
		o.t.Fatal(err)
	}
	files, err := os.ReadDir(p.made)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range files {
		o.copies(p.made, p.used, f.Name())
	}
	return p
}

// copies copies files as cp does: whoever reads them meanwhile sees a part.
func (o *operator) copies(from, to string, names ...string) {
	o.t.Helper()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			o.t.Fatal(err)
		}
		rewrite(o.t, filepath.Join(to, name), string(b))
	}
}

// starts starts a UE, with a function of its own.
func (o *operator) starts(tenant, name string, home int, routes byFunction) *device {
	o.t.Helper()
	d := &device{place: o.issues("ue", name, "--tenant", tenant), tenant: tenant, home: home, other: 1 - home}
	d.Handler = startUE(o.t, o.hosts[home].with(d.used))
	d.router = route.Use(nil)
	d.echo = raw(o.t, "basic", 0, errNative)
	d.echo.Deadline = patience
	d.echo.Native = func(_ context.Context, in []byte) ([]byte, error) {
		d.natives.Add(1)
		return in, nil
	}
	routes[&d.echo.Desc] = d.router
	return d
}

// begins has a UE's traffic begin at its home.
func (o *operator) begins(d *device) {
	o.t.Helper()
	ready(o.t, d.Handler, &d.echo.Desc)
	cfg := elastic.Config{Standby: []elastic.Target{d.Target(o.hosts[d.other].addr)}, Deadline: patience}
	d.flow = flowsOf(o.t, cfg, tally(o.t), pace)
	d.flow.goBack(o.t, d.Target(o.hosts[d.home].addr))
	await(o.t, "the standby", func() bool { return d.flow.saw(elastic.StandbyReady) })
	d.calls = trickles(o.t.Context(), d.echo, pace)
}

// goesOn waits until each UE is served at its home, and says how long the step before took. If served, no call
// ran on its UE, and no channel left its host.
func (o *operator) goesOn(step string, served bool) {
	o.t.Helper()
	took := time.Since(o.begun)
	for _, d := range o.ues {
		if !served {
			d.flow.goBack(o.t, d.Target(o.hosts[d.home].addr))
		}
		edge := d.Stats().Edge
		await(o.t, "calls to be served", func() bool { return d.Stats().Edge >= edge+10 || o.t.Failed() })
		d.flow.more(o.t, 20)
		if n := d.natives.Load(); served && n > 0 {
			o.t.Errorf("%s: %d calls of %s ran on the UE: %v", step, n, d.tenant, d.Stats().Reasons)
		}
		if where := d.flow.ch.Where(); where != o.names[d.home] {
			o.t.Errorf("%s: the channel of %s is on %q, want %s", step, d.tenant, where, o.names[d.home])
		}
	}
	if o.t.Failed() {
		o.t.FailNow()
	}
	o.t.Logf("%6d ms  %s", took.Milliseconds(), step)
	o.begun = time.Now()
}

// reloads has the hosts read a policy with a fault, which changes nothing, and then one that grants
// something to one tenant.
func (o *operator) reloads() {
	o.t.Helper()
	for n, p := range o.hosts {
		rewrite(o.t, o.policies[n], "[default]\nquoota = {}\n")
		p.hangUp(o.t, "nothing is reloaded.*edge.toml:2:1", 1)
		if page := scrape(o.t, p); !strings.Contains(page, "bungee_config_last_reload_successful 0") {
			o.t.Error("the metrics do not tell that the reload failed")
		}
		rewrite(o.t, o.policies[n], "[default]\n\n[[tenant]]\nname = \"acme\"\nenv = {REGION = \"eu\"}\n")
		p.hangUp(o.t, "msg=reloaded", 1)
	}
	wasm, err := capability.Append(enginetest.Guest(o.t, "basic"), capability.Manifest{Env: []string{"REGION"}})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, d := range o.ues {
		asks := raw(o.t, "basic", 0, errNative)
		asks.Module = codegen.NewModule(wasm)
		ctx, cancel := context.WithTimeout(o.t.Context(), time.Minute)
		err := d.Prepare(ctx, &asks.Desc)
		cancel()
		granted := d.tenant == "acme"
		if granted != (err == nil) || !granted && !strings.Contains(err.Error(), "REGION") {
			o.t.Errorf("a module of %s that asks for REGION: %v; granted: want %v", d.tenant, err, granted)
		}
	}
}

// revokes revokes the stolen UE while a call of it runs.
func (o *operator) revokes() {
	o.t.Helper()
	d, p := o.thief, o.hosts[o.thief.home]
	ready(o.t, d.Handler, &d.echo.Desc)
	spin := raw(o.t, "basic", 5, errNative) // loops for ever
	spin.Deadline = patience
	var w *route.Way
	await(o.t, "its module", func() bool {
		w = d.router.Route(&spin.Desc)
		return w.Fallback == nil
	})
	frame := make([]byte, route.Room, route.Room+16)
	frame = spin.AppendIn(frame, []byte("x"))
	ended := make(chan error, 1)
	go func() {
		_, err := w.Caller.Call(o.t.Context(), &spin.Desc, frame)
		ended <- err
	}()
	running := func() bool { return strings.Contains(scrape(o.t, p), `bungee_calls_in_flight{tenant="acme"} 1`) }
	await(o.t, "the call to run", running)

	ca(o.t, o.dir, "revoke", "ue", "headset-2", "--tenant", "acme")
	begin := time.Now()
	for _, p := range o.hosts {
		o.copies(o.dir, p.certs, "revoked.pem")
	}
	err := <-ended
	o.t.Logf("%6d ms  from the copy of revoked.pem to the end of the call: %v", time.Since(begin).Milliseconds(), err)
	p.says(o.t, `msg="sessions of a UE are ended" ue=acme/headset-2 .*is revoked`, 1)
	p.says(o.t, `msg="handshake failed" .*is revoked`, 1) // it resumes by its ticket
	o.t.Logf("%6d ms  to the refusal of its resumption", time.Since(begin).Milliseconds())
	await(o.t, "the guest to be stopped", func() bool { return !running() })
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	if err := d.Prepare(ctx, &d.echo.Desc); !errors.Is(err, link.ErrIdentity) {
		o.t.Errorf("the revoked device is told %v", err)
	}
	for n, p := range o.hosts {
		o.refused(d.used, n)
		if log := p.log.String(); regexp.MustCompile(`msg="connection ends" ue=\w+/headset-1`).MatchString(log) {
			o.t.Errorf("another device has lost its connection to %s", o.names[n])
		}
	}
	d.Close()
}

// refused checks that a UE with the identity in a folder is served by no host.
func (o *operator) refused(folder string, host int) {
	o.t.Helper()
	if says, status := doctorSays(o.t, patient{o.hosts[host].addr, folder}); status != 1 || !regexp.MustCompile(`(?m)^wrong  certificate: `).MatchString(says) {
		o.t.Errorf("%s on %s: exit status %d, want 1, and a wrong certificate:\n%s", folder, o.names[host], status, says)
	}
}

// renews renews all certificates.
func (o *operator) renews() {
	o.t.Helper()
	before := map[*device]time.Time{}
	for _, d := range o.ues {
		before[d] = d.Stats().CertificateEnds
	}
	if said := ca(o.t, o.dir, "renew", "--all", "--lifetime", "4000h"); !strings.Contains(said, "5 of 6 renewed") {
		o.t.Errorf("renew --all says %q", said)
	}
	o.carriesCertificates()
	for _, p := range o.hosts {
		p.says(o.t, `msg="identity is read again" .*renewed=true`, 1)
	}
	for _, d := range o.ues {
		await(o.t, "the UE's next certificate", func() bool { return !d.Stats().CertificateEnds.Equal(before[d]) })
	}
}

func (o *operator) carriesCertificates() {
	o.t.Helper()
	for _, p := range o.places {
		o.copies(p.made, p.used, p.file)
	}
}

func (o *operator) carriesTrust() {
	o.t.Helper()
	for _, p := range o.places {
		o.copies(o.dir, p.used, "ca.pem", "revoked.pem")
	}
}

// rotates replaces the authority, in three steps without a pause between them. What it had issued is refused then.
func (o *operator) rotates() {
	o.t.Helper()
	begun := func(d *device) int {
		return o.count(d.home, `msg="connection begins" ue=`+d.tenant+`/headset-1`)
	}
	read := func(n int) int { return o.count(n, `msg="identity is read again" .* authorities=1 `) }
	sessions, reads := map[*device]int{}, map[int]int{}
	for _, d := range o.ues {
		sessions[d] = begun(d)
	}
	for n := range o.hosts {
		reads[n] = read(n)
	}
	before := o.t.TempDir()
	o.copies(o.ues[0].used, before, "ue.pem", "ue.key")
	ca(o.t, o.dir, "rotate")
	o.copies(o.dir, before, "ca.pem") // it would accept the hosts, and they not it
	o.carriesTrust()
	ca(o.t, o.dir, "renew", "--all")
	o.carriesCertificates()
	ca(o.t, o.dir, "rotate", "--end")
	o.carriesTrust()
	for n := range o.hosts {
		await(o.t, "the authority to be dropped", func() bool { return read(n) > reads[n] })
		o.refused(before, n)
	}
	for _, d := range o.ues {
		await(o.t, "another session", func() bool { return begun(d) > sessions[d] })
	}
}

// count says how often a host has logged something.
func (o *operator) count(host int, what string) int {
	return len(regexp.MustCompile(what).FindAllString(o.hosts[host].log.String(), -1))
}

// upgrades drains a host, whose channels the other takes, and starts a build at its address.
func (o *operator) upgrades(n int, build string) {
	o.t.Helper()
	p := o.hosts[n]
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		o.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		o.t.Errorf("%s ended with %v, want exit status 0", o.names[n], err)
	}
	drained := time.Since(o.begun)
	for _, d := range o.ues {
		if d.home == n {
			await(o.t, "the other host to take over", func() bool { return d.flow.ch.Where() == o.names[d.other] || o.t.Failed() })
		}
		d.flow.more(o.t, 20)
		d.calls.more(o.t, 20)
	}
	o.t.Logf("%6d ms  drain of %s", drained.Milliseconds(), o.names[n])
	p.build = build
	p.again(o.t)
}

// closes ends the traffic, and counts it.
func (o *operator) closes() {
	o.t.Helper()
	for _, d := range o.ues {
		failed, calls := d.calls.stop(), d.calls.calls.Load()
		fell := fellBack(d.flow.stop())
		if failed > 0 {
			o.t.Errorf("%d of %d calls of %s were lost", failed, calls, d.tenant)
		}
		o.t.Logf("%s: %d calls, of which %d ran on the UE; %d messages, %d fallbacks of the channel", d.tenant, calls, d.natives.Load(), d.flow.got.Load(), len(fell))
	}
}

// nextBuild builds the program with another version.
func nextBuild(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile("version.go")
	if err != nil {
		t.Fatal(err)
	}
	const stamp = `program := "bungee `
	if !strings.Contains(string(source), stamp) {
		t.Fatalf("version.go has no %s", stamp)
	}
	rewrite(t, filepath.Join(dir, "version.go"), strings.Replace(string(source), stamp, stamp+"next ", 1))
	file, err := filepath.Abs("version.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: filepath.Join(dir, "version.go")}})
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(dir, "overlay.json"), string(overlay))
	next := filepath.Join(dir, "bungee")
	if out, err := exec.Command("go", "build", "-race", "-overlay", filepath.Join(dir, "overlay.json"), "-o", next, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the next version: %v\n%s", err, out)
	}
	if out, err := exec.Command(next, "version").Output(); err != nil || !strings.HasPrefix(string(out), "bungee next ") {
		t.Fatalf("the next build says %q, %v", out, err)
	}
	return next
}
