package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/manager"
)

// The commands of an operator go over a Unix socket, in HTTP and JSON. Who may open it is whom the file system lets: the
// owner, who could read the manager's keys as well. So there is no password to keep, and nothing on the network.

// maxCommand bounds what a command says, in bytes.
const maxCommand = 4 << 10

// A deviceRequest names a device.
type deviceRequest struct{ Role, Tenant, Name string }

// A hostRequest says what the operator wants of a host.
type hostRequest struct {
	Name string
	Want string
	By   time.Duration
}

// serveCommands serves commands at a socket until stop is called. What is there of a process that has ended is replaced: the
// store's lock says that there is no other.
func serveCommands(path string, m *manager.Manager) (stop func(), err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("--socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("--socket: %w", err), ln.Close())
	}
	srv := &http.Server{Handler: commandPages(m), ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	return func() { srv.Close(); <-served }, nil
}

func commandPages(m *manager.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		s, err := m.State()
		answer(w, s, err)
	})
	mux.HandleFunc("POST /code", func(w http.ResponseWriter, r *http.Request) {
		var q deviceRequest
		err := readCommand(r, &q)
		code := ""
		if err == nil {
			code, err = m.NewCode(q.Role, q.Tenant, q.Name)
		}
		answer(w, code, err)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		var q deviceRequest
		err := readCommand(r, &q)
		if err == nil {
			err = m.Revoke(q.Role, q.Tenant, q.Name)
		}
		answer(w, "", err)
	})
	mux.HandleFunc("POST /host", func(w http.ResponseWriter, r *http.Request) {
		var q hostRequest
		err := readCommand(r, &q)
		if err == nil {
			err = m.Set(r.Context(), cluster.Member{Name: q.Name, Want: wants[q.Want], By: time.Now().Add(q.By)})
		}
		answer(w, "", err)
	})
	return mux
}

var wants = map[string]cluster.Want{"serve": cluster.Serve, "cordon": cluster.Cordon, "drain": cluster.Drain}

func readCommand(r *http.Request, q any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, maxCommand))
	d.DisallowUnknownFields()
	return d.Decode(q)
}

// answer answers a command. The error's text is for the operator.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// command gives a running manager a command, at its socket, and reads the answer into v.
func command(ctx context.Context, socket, method, page string, q, v any) error {
	path, err := managerPath(socket, "socket")
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 15 * time.Second}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(q); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://manager"+page, &body)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("no manager answers at %s (%w); name another socket with --socket", path, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxCommand))
		return errors.New(string(bytes.TrimSpace(text)))
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// socketFlag adds the flag of commands to a manager.
func socketFlag(c *cobra.Command) *string {
	return c.Flags().String("socket", "", "socket of the manager (default: that of the user's own)")
}

func codeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "code {ue | host} NAME",
		Short: "Make a code with which a device enrols",
		Long: `code prints a code for one device. Within ten minutes, and once, "bungee enroll" on that device
gets its certificate with it. The code also tells the device which manager to trust, so give it to nobody
else.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	socket, tenant := socketFlag(c), c.Flags().String("tenant", "", "whom the UE's quotas and bills belong to (default: the UE's name)")
	c.RunE = func(c *cobra.Command, args []string) error {
		var code string
		if err := command(c.Context(), *socket, "POST", "/code", deviceRequest{args[0], *tenant, args[1]}, &code); err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), code)
		return nil
	}
	return c
}

func revokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke {ue | host} NAME",
		Short: "End what a device may do, for good",
		Long: `revoke ends the device's connections, here and at hosts, within seconds, and its leases. Its ID
is of no use any more: enrol the device under another name.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	socket, tenant := socketFlag(c), c.Flags().String("tenant", "", "the UE's tenant (default: the UE's name)")
	c.RunE = func(c *cobra.Command, args []string) error {
		var none string
		return command(c.Context(), *socket, "POST", "/revoke", deviceRequest{args[0], *tenant, args[1]}, &none)
	}
	return c
}

func cordonCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "set HOST {serve | cordon | drain}",
		Short: "Say whether a host takes sessions",
		Long: `set has a host serve, keep its sessions and take no more (cordon), or let go of them (drain). It
holds until it is said otherwise, over restarts of the manager, too.`,
		Args: usage(cobra.ExactArgs(2)),
	}
	socket, by := socketFlag(c), c.Flags().Duration("by", 30*time.Second, "how long sessions may stay that find no other host; for drain")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, ok := wants[args[1]]; !ok {
			return fmt.Errorf("%w: %q is not serve, cordon or drain", cli.ErrUsage, args[1])
		}
		var none string
		return command(c.Context(), *socket, "POST", "/host", hostRequest{args[0], args[1], *by}, &none)
	}
	return c
}

func lsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ls [hosts | sessions | leases]",
		Short: "List the hosts, sessions and leases of a running manager",
		Long: `ls asks the manager on this machine, over its socket. With --json it prints all that the
manager tells.`,
		Args:      usage(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{"hosts", "sessions", "leases"},
	}
	socket, asJSON := socketFlag(c), c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		var s manager.State
		if err := command(c.Context(), *socket, "GET", "/state", nil, &s); err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return listState(c.OutOrStdout(), s, append(args, "")[0])
	}
	return c
}

// listState prints a part of s, by default hosts and sessions.
func listState(w io.Writer, s manager.State, part string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if part == "hosts" || part == "" {
		fmt.Fprintln(t, "HOST\tSTATE\tWANT\tSESSIONS\tLOAD\tTURNS\tLEARNED\tADDRESSES")
		for _, h := range s.Hosts {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.2f\t%.0f\t%.2f\t%v\n", h.Name, h.State, orDash(h.Want), h.Sessions, h.Load, h.Turns, h.Learned, h.Addresses)
		}
	}
	if part == "" {
		fmt.Fprintln(t)
	}
	if part == "sessions" || part == "" {
		fmt.Fprintln(t, "TENANT\tUE\tSESSION\tSTATE\tPRIMARY\tSTANDBY\tP99\tWHY")
		for _, x := range s.Sessions {
			fmt.Fprintf(t, "%s\t%s\t%x\t%s\t%s\t%s\t%.1f ms\t%.80s\n", x.Tenant, x.UE, x.Number, x.State, orDash(x.Primary), orDash(x.Standby), x.Latency, x.Why)
		}
	}
	if part == "leases" {
		fmt.Fprintln(t, "LEASE\tHOST\tSESSION\tSTATE\tCALLS")
		for _, l := range s.Leases {
			fmt.Fprintf(t, "%.8s\t%s\t%s\t%s\t%d\n", l.ID, l.Host, l.Session, l.State, l.Calls)
		}
	}
	return t.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
