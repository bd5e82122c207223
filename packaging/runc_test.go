package packaging

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/needs"
)

// An imageConfig is what runc needs of an image's configuration.
type imageConfig struct {
	Config struct {
		User            string
		Entrypoint, Cmd []string
		Env             []string
	}
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// The image is what its digests say, has few files, and runs without rights from a read-only root: a
// call is served.
func TestImage(t *testing.T) {
	b := built(t)
	config, layer := readImage(t, b.image)
	bundle := t.TempDir()
	names := unpack(t, layer, filepath.Join(bundle, "rootfs"))
	t.Logf("%d KiB; files %v", len(layer)>>10, names)
	if !slices.Equal(names, []string{"etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt", "usr/bin/bungee"}) {
		t.Errorf("files %v", names)
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("no runc here: apt-get install runc, then go test -run TestImage ./packaging")
	}
	if os.Getuid() != 0 {
		needs.Network(t, "the container wants root outside: sudo go test -run TestImage ./packaging")
	}
	host, device := identities(t, b.program)
	pid, addr := runContainer(t, bundle, config, host)
	out, err := exec.Command(b.program, "doctor", addr, "--certs", device).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok     call: ") {
		t.Errorf("bungee doctor: %v\n%s", err, out)
	}
	checkRights(t, pid)
}

// identities makes those of a host, which the container's user may read, and of a UE, in a folder each.
func identities(t *testing.T, program string) (host, ue string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	for _, args := range [][]string{{"init"}, {"issue", "host", "edge-1"}, {"issue", "ue", "headset-1", "--tenant", "acme"}} {
		if out, err := exec.Command(program, append([]string{"ca", "--dir", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("bungee ca %v: %v\n%s", args, err, out)
		}
	}
	host = filepath.Join(dir, "host", "edge-1")
	for _, name := range []string{host, filepath.Join(host, "host.key")} {
		if err := os.Chown(name, 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	return host, filepath.Join(dir, "tenant", "acme", "ue", "headset-1")
}

// readImage returns the configuration of the only image in a layout, and its layer, both as their digests say.
func readImage(t *testing.T, file string) (config imageConfig, layer []byte) {
	t.Helper()
	blobs := map[string][]byte{}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if digest, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && digest != fmt.Sprintf("%x", sha256.Sum256(content)) {
			t.Errorf("%s has another digest", h.Name)
		}
		blobs[h.Name] = content
	}
	type ref struct {
		Digest string
		Size   int
	}
	get := func(r ref) []byte {
		content := blobs["blobs/"+strings.Replace(r.Digest, ":", "/", 1)]
		if len(content) != r.Size || r.Size == 0 {
			t.Fatalf("blob %s has %d bytes, want %d", r.Digest, len(content), r.Size)
		}
		return content
	}
	var index struct{ Manifests []ref }
	var manifest struct {
		Config ref
		Layers []ref
	}
	decode(t, blobs["index.json"], &index)
	if len(index.Manifests) != 1 || string(blobs["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Fatalf("%d manifests, layout %q", len(index.Manifests), blobs["oci-layout"])
	}
	decode(t, get(index.Manifests[0]), &manifest)
	decode(t, get(manifest.Config), &config)
	if len(manifest.Layers) != 1 || len(config.RootFS.DiffIDs) != 1 {
		t.Fatalf("%d layers, %d digests of them", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	z, err := gzip.NewReader(bytes.NewReader(get(manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	if layer, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); got != config.RootFS.DiffIDs[0] {
		t.Errorf("the layer is %s, the configuration says %s", got, config.RootFS.DiffIDs[0])
	}
	return config, layer
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// unpack writes a layer into dir, with its owners where this process may, and returns its files.
func unpack(t *testing.T, layer []byte, dir string) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, h.FileInfo().Mode().Perm())
		} else {
			names = append(names, h.Name)
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(name, content, h.FileInfo().Mode().Perm())
			}
		}
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(name, h.Uid, h.Gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// runContainer runs the image with what docs/operate.md gives it, and returns where it listens.
func runContainer(t *testing.T, bundle string, c imageConfig, certs string) (pid, addr string) {
	t.Helper()
	args := append(slices.Clone(c.Config.Entrypoint), c.Config.Cmd...)
	args[slices.Index(args, "--listen")+1] = "127.0.0.1:0" // the machine's port may be taken
	var uid, gid int
	if _, err := fmt.Sscanf(c.Config.User, "%d:%d", &uid, &gid); err != nil || uid == 0 || gid == 0 {
		t.Fatalf("user %q", c.Config.User)
	}
	type m = map[string]any
	spec, err := json.Marshal(m{
		"ociVersion": "1.0.2",
		"process":    m{"args": args, "env": c.Config.Env, "cwd": "/", "user": m{"uid": uid, "gid": gid}, "noNewPrivileges": true, "capabilities": m{}},
		"root":       m{"path": "rootfs", "readonly": true},
		"hostname":   "edge",
		"mounts": []m{
			{"destination": "/proc", "type": "proc", "source": "proc", "options": []string{"nosuid", "noexec", "nodev"}},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
			{"destination": "/etc/bungee/certs", "type": "bind", "source": certs, "options": []string{"bind", "ro"}},
			{"destination": "/var/cache/bungee", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "nodev", "mode=700", fmt.Sprintf("uid=%d", uid)}},
		},
		"linux": m{"namespaces": []m{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}}}, // the network is the machine's
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o600); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("bungee-test-%d", os.Getpid())
	state := t.TempDir()
	runc := exec.Command("runc", "--root", state, "run", "--bundle", bundle, id)
	var log bytes.Buffer
	runc.Stderr = &log
	stdout, err := runc.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runc.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		runc.Wait()
		if regexp.MustCompile(`(?i)operation not permitted|cgroup`).MatchString(log.String()) {
			needs.Network(t, "runc makes no container here; on a machine where it does: go test -run TestImage ./packaging\n"+log.String())
		}
		t.Fatalf("it said %q, %v\n%s", line, err, &log)
	}
	t.Cleanup(func() {
		exec.Command("runc", "--root", state, "kill", id, "TERM").Run()
		if err := runc.Wait(); err != nil {
			t.Errorf("the container ended with %v, want a drain and status 0:\n%s", err, &log)
		}
		exec.Command("runc", "--root", state, "delete", "--force", id).Run()
	})
	out, err := exec.Command("runc", "--root", state, "state", id).Output()
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Pid int }
	decode(t, out, &s)
	return fmt.Sprint(s.Pid), address
}

// checkRights looks at the container's process from outside.
func checkRights(t *testing.T, pid string) {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Uid:\s+65532\s+65532`, `CapEff:\s+0+\n`, `CapBnd:\s+0+\n`, `NoNewPrivs:\s+1\n`} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("its status is not like %s", want)
		}
	}
	mounts, err := os.ReadFile("/proc/" + pid + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m) / ro[, ]`).Match(mounts) {
		t.Errorf("its root can be written:\n%s", mounts)
	}
}
