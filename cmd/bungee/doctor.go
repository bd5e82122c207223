package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/identity"
)

func doctorCommand() *cobra.Command {
	var certs string
	c := &cobra.Command{
		Use:   "doctor [ADDR]",
		Short: "Say what keeps a UE from an edge host, and what the UE knows of itself",
		Long: `doctor says what this device tells of its processor, memory, temperature, battery, power and network, and
from which sensor or file each figure is, or why it is unknown: what decides where functions run.

Then it does what a UE does with the edge host at ADDR, "host:port", step by step: it looks at its
certificate, looks the address up, tries UDP and TCP, makes a handshake, looks at the host's
certificate, compares the clocks, opens a session, has a small module of its own loaded, calls
that, and looks how large packets may be. It needs no more than a UE has: the folder with
ca.pem, ue.pem and ue.key.

Each line begins with "ok", or with "wrong" and has what to do under it. Where an earlier line is
wrong, later steps may be missing. The exit status is 1 when a line is wrong.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d := &doctor{out: os.Stdout}
			d.device(c.Context())
			if len(args) > 0 {
				d.addr = args[0]
				d.examine(c.Context(), certs)
			}
			if d.wrong > 0 {
				return cli.Status(1)
			}
			return nil
		},
	}
	c.Flags().StringVar(&certs, "certs", "", "folder with ca.pem, ue.pem, ue.key (default: the user's own)")
	return c
}

// A doctor examines the UE, and the way to one edge host, and says what it finds, a line at a time.
type doctor struct {
	out   io.Writer
	addr  string // as given, and with a port from examine on
	conf  *tls.Config
	host  *x509.Certificate // that the host has shown; nil: none was seen
	wrong int               // lines that are
}

func (d *doctor) ok(what, format string, args ...any) {
	fmt.Fprintf(d.out, "ok     %s: %s\n", what, fmt.Sprintf(format, args...))
}

// bad says what is wrong, and what to do.
func (d *doctor) bad(what, cure, format string, args ...any) {
	d.wrong++
	fmt.Fprintf(d.out, "wrong  %s: %s\n       %s\n", what, fmt.Sprintf(format, args...), cure)
}

// examine goes as far as it can.
func (d *doctor) examine(ctx context.Context, certs string) {
	if _, _, err := net.SplitHostPort(d.addr); err != nil && strings.Contains(err.Error(), "missing port") {
		d.addr = net.JoinHostPort(strings.Trim(d.addr, "[]"), "4433")
	}
	known := d.identity(certs)
	at := d.lookUp(ctx)
	if !known || len(at) == 0 {
		return
	}
	c := d.reach(ctx, at)
	if c == nil {
		return
	}
	welcomed := d.session(ctx, c)
	c.Close("")
	if welcomed {
		d.call(ctx)
	}
}

// identity looks at the UE's own certificate.
func (d *doctor) identity(certs string) bool {
	conf, err := ue.LoadTLS(certs)
	if err != nil {
		d.bad("identity", `name the folder that was made for this UE with --certs DIR`, "%v", err)
		return false
	}
	d.conf = conf
	if err := identity.CheckDates(conf, time.Now()); err != nil {
		d.bad("identity", "renew the certificate; if the date here is not right, set the clock: timedatectl set-ntp true", "%v", err)
		return true // the host may see it otherwise
	}
	d.ok("identity", "the certificate of this UE%s is there, and in its dates", ofLeaf(conf))
	return true
}

// ofLeaf names the certificate of conf, where conf says which it is.
func ofLeaf(conf *tls.Config) string {
	if leaf := identity.Leaf(conf); leaf != nil {
		return fmt.Sprintf(", %.300q,", nameOf(leaf))
	}
	return ""
}

// nameOf returns whose certificate c is.
func nameOf(c *x509.Certificate) string {
	if len(c.URIs) > 0 {
		return c.URIs[0].String()
	}
	return c.Subject.CommonName
}

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 8

// lookUp returns the addresses, each with its port.
func (d *doctor) lookUp(ctx context.Context) (at []*net.UDPAddr) {
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		d.bad("address", `write it as "edge.example:4433"`, "%q is no address: %v", d.addr, err)
		return nil
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil || number == 0 {
		d.bad("address", `write it as "edge.example:4433"`, "%q is no port", port)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			d.bad("address", "see whether it is spelt right, and whether this machine asks the resolver that knows it: getent hosts "+host, "nobody knows the name %q", host)
		} else {
			d.bad("address", "see which resolvers this machine asks: cat /etc/resolv.conf", "%v", err)
		}
		return nil
	}
	var names []string
	for _, ip := range ips[:min(len(ips), maxAddresses)] {
		at = append(at, &net.UDPAddr{IP: ip.IP, Zone: ip.Zone, Port: number})
		names = append(names, ip.String())
	}
	d.addr = net.JoinHostPort(host, fmt.Sprint(number))
	d.ok("address", "%s is %s", host, strings.Join(names, ", "))
	return at
}
