package bench

import (
	"errors"
	"fmt"
	"os/exec"
)

// A network is a namespace for each edge host, with a link of its own from the UE. A nil
// network is the loopback. The names are always the same, so that what a run left behind can
// be taken away: one soak at a time has them.
type network struct{ hosts int }

// newNetwork makes a network for that many hosts. It needs Linux, root and iproute2.
func newNetwork(hosts int) (*network, error) {
	n := &network{hosts}
	if err := errors.Join(n.end(), n.make()); err != nil { // first, what another run left
		n.end() // of what there is, as much as there is
		return nil, fmt.Errorf(`no interface can be taken down here (%w); as root on Linux "bungee-lab bench soak --with net" does it`, err)
	}
	return n, nil
}

func (n *network) make() error {
	for i := range n.hosts {
		ns, link := n.namespace(i), n.link(i)
		for _, args := range []string{
			"netns add " + ns,
			"link add " + link + " type veth peer name eth0 netns " + ns,
			"addr add " + n.near(i) + "/30 dev " + link,
			"link set " + link + " up",
			"-n " + ns + " addr add " + n.host(i) + "/30 dev eth0",
			"-n " + ns + " link set eth0 up",
			"-n " + ns + " link set lo up",
		} {
			if err := ip(args); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *network) namespace(i int) string { return fmt.Sprintf("bungee-soak-%d", i) }

func (n *network) link(i int) string { return fmt.Sprintf("bsoak%d", i) }

// near and host are the addresses at the two ends of a link. They are of a range for
// benchmarks (RFC 2544).
func (n *network) near(i int) string { return fmt.Sprintf("198.18.%d.1", 77+i) }

func (n *network) host(i int) string { return fmt.Sprintf("198.18.%d.2", 77+i) }

// inside makes cmd run in the namespace of the i-th host, where there is one.
func (n *network) inside(i int, cmd *exec.Cmd) *exec.Cmd {
	if n == nil {
		return cmd
	}
	return within(n.namespace(i), cmd)
}

// down takes the UE's links down, and up brings them back.
func (n *network) down() error { return n.set("down") }

func (n *network) up() error {
	if n == nil {
		return nil
	}
	return n.set("up")
}

func (n *network) set(state string) error {
	var err error
	for i := range n.hosts {
		err = errors.Join(err, ip("link set "+n.link(i)+" "+state))
	}
	return err
}

// end takes the namespaces away, and with them the links.
func (n *network) end() error {
	if n == nil {
		return nil
	}
	var err error
	for i := range n.hosts {
		err = errors.Join(err, dropSpace(n.namespace(i)))
	}
	return err
}
