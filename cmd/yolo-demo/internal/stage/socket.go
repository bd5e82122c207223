package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bungee-xr/bungee/offload/manager"
)

// maxAnswer bounds what a manager answers, in bytes: thousands of sessions.
const maxAnswer = 16 << 20

// A socket is that of an offload manager's operator, as "bungee ls" and "bungee manager set" use it: HTTP and JSON over a Unix socket.
type socket struct{ client *http.Client }

func newSocket(path string) *socket {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &socket{&http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1}, Timeout: 5 * time.Second}}
}

func (s *socket) close() { s.client.CloseIdleConnections() }

// do makes a request and reads the answer into v.
func (s *socket) do(ctx context.Context, method, page string, q, v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(q); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://manager"+page, &body)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("the offload manager does not answer at its socket: %w", err)
	}
	defer resp.Body.Close()
	answer := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(answer, 1<<10))
		return errors.Join(errors.New(string(bytes.TrimSpace(text))), err)
	}
	return json.NewDecoder(answer).Decode(v)
}

// want says what is wanted of a host.
func (s *socket) want(ctx context.Context, host, want string, by time.Duration) error {
	var none string
	return s.do(ctx, http.MethodPost, "/host", map[string]any{"Name": host, "Want": want, "By": by}, &none)
}

func (s *socket) state(ctx context.Context) (st manager.State, err error) {
	err = s.do(ctx, http.MethodGet, "/state", nil, &st)
	return st, err
}

// State returns what the manager knows.
func (s *Stage) State(ctx context.Context) (manager.State, error) { return s.socket.state(ctx) }

// StateAt returns what a manager knows whose operator's socket is at path.
func StateAt(path string) (state func(context.Context) (manager.State, error), done func()) {
	s := newSocket(path)
	return s.state, s.close
}
