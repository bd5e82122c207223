package ue

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A hostPort is where an edge host may be found: a name or an IP address, and a port.
type hostPort struct {
	name string     // "" if ip is set
	ip   netip.Addr // invalid if name is set
	port uint16
}

// usualPort is the one that "bungee host" listens on unless told otherwise.
const usualPort = "4433"

// parseHost returns where an edge host may be found: s is one "host:port", or several with
// commas between them. Its errors say what to write instead of s.
func parseHost(s string) (all []hostPort, err error) {
	for part := range strings.SplitSeq(s, ",") {
		at, err := parseHostPort(strings.TrimSpace(part))
		if err != nil && part != s {
			err = fmt.Errorf("%.200q: %w", part, err)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, at)
	}
	return all, nil
}

func parseHostPort(s string) (at hostPort, err error) {
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return at, instead(fmt.Sprintf("%.20q is the begin of a URL", scheme+"://"), fromURL(s))
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		if ip, err := netip.ParseAddr(host); err == nil {
			return at, instead("it has no port", net.JoinHostPort(ip.String(), usualPort))
		}
		if isName(host) {
			return at, instead("it has no port", host+":"+usualPort)
		}
		return at, errNoHostPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	at.port = uint16(n)
	switch {
	case host == "":
		return at, instead("it has no host", "127.0.0.1:"+port+", for this machine")
	case err != nil || n == 0:
		return at, instead(fmt.Sprintf("port %.20q is not a number from 1 to 65535", port), net.JoinHostPort(host, usualPort))
	}
	if at.ip, err = netip.ParseAddr(host); err == nil {
		return at, nil
	}
	if !isName(host) {
		return at, errNoHostPort
	}
	at.name = host
	return at, nil
}

var errNoHostPort = errors.New(`it is not "host:port"; write edge.example:` + usualPort + ", for example")

// instead is an error that says what is wrong with an address, and what to write.
func instead(wrong, better string) error { return fmt.Errorf("%s; write %s", wrong, better) }

// fromURL returns the "host:port" that s, a URL, may mean.
func fromURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return "edge.example:" + usualPort
	}
	port := u.Port()
	if port == "" {
		port = usualPort
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// isName says whether s can be the name of a host (RFC 1123 section 2.1, and underscores,
// which names in private networks have). One that ends with a number is a misspelt IP address.
func isName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	if _, err := strconv.Atoi(s[strings.LastIndexByte(s, '.')+1:]); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for _, c := range label {
			if c > 127 || !strings.ContainsRune("-_", c) && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}
