package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A socket is one of port 5353, which others on this machine may have, too.
type socket struct {
	conn *net.UDPConn
	// read reads a packet, and returns the index of the interface that it came by, 0 where the system does not tell.
	read func(b []byte) (n, index int, from netip.AddrPort, err error)
	// join and leave are for the group on an interface.
	join, leave func(*net.Interface) error
	// tell sends to the group on an interface.
	tell func(b []byte, on *net.Interface) error
}

// listen opens a socket of a family. The interface is one that is there.
func listen(ifi *net.Interface, six bool) (*socket, error) {
	network, group := "udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(group4, port))
	if six {
		network, group = "udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(group6, port))
	}
	conn, err := net.ListenMulticastUDP(network, ifi, group)
	if err != nil {
		return nil, fmt.Errorf("port %d of %s: %w", port, network, err)
	}
	s := &socket{conn: conn}
	if six {
		err = s.use6(group)
	} else {
		err = s.use4(group)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func (s *socket) use4(group *net.UDPAddr) error {
	p := ipv4.NewPacketConn(s.conn)
	p.SetControlMessage(ipv4.FlagInterface, true) // where there is none, the sender's network tells
	s.read = func(b []byte) (n, index int, from netip.AddrPort, err error) {
		n, cm, src, err := p.ReadFrom(b)
		if cm != nil {
			index = cm.IfIndex
		}
		return n, index, addrOf(src), err
	}
	s.join = func(ifi *net.Interface) error { return once(p.JoinGroup(ifi, group)) }
	s.leave = func(ifi *net.Interface) error { return p.LeaveGroup(ifi, group) }
	s.tell = func(b []byte, on *net.Interface) error {
		if err := p.SetMulticastInterface(on); err != nil {
			return err
		}
		_, err := s.conn.WriteToUDP(b, group)
		return err
	}
	// Browsers of this machine are told, too.
	return errors.Join(p.SetMulticastTTL(255), p.SetMulticastLoopback(true))
}

func (s *socket) use6(group *net.UDPAddr) error {
	p := ipv6.NewPacketConn(s.conn)
	p.SetControlMessage(ipv6.FlagInterface, true)
	s.read = func(b []byte) (n, index int, from netip.AddrPort, err error) {
		n, cm, src, err := p.ReadFrom(b)
		if cm != nil {
			index = cm.IfIndex
		}
		return n, index, addrOf(src), err
	}
	s.join = func(ifi *net.Interface) error { return once(p.JoinGroup(ifi, group)) }
	s.leave = func(ifi *net.Interface) error { return p.LeaveGroup(ifi, group) }
	s.tell = func(b []byte, on *net.Interface) error {
		if err := p.SetMulticastInterface(on); err != nil {
			return err
		}
		_, err := s.conn.WriteToUDP(b, &net.UDPAddr{IP: group.IP, Port: port, Zone: on.Name})
		return err
	}
	return errors.Join(p.SetMulticastHopLimit(255), p.SetMulticastLoopback(true))
}

// once leaves out that a group was joined already, as that of the interface is which the socket was opened with.
func once(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil
	}
	return err
}

// addrOf returns the address of a sender.
func addrOf(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		at := u.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	return netip.AddrPort{}
}
