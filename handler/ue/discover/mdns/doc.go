// Package mdns finds offload managers on the local link, and announces them there: DNS-SD (RFC 6763) over multicast DNS
// (RFC 6762), for the service _bungee-manager._udp.local. A [Browser] is a Discoverer of package ue:
//
//	h, err := ue.Start(ctx, ue.Config{Managers: mdns.Browser{}, TLS: conf})
//
// "bungee manager --mdns" and "bungee up --mdns" announce, and so does an [Announcer] in a program of one's own. Avahi or Bonjour can do it, too.
//
// # Trust
//
// There is none in an answer: anyone on the link can answer, and says no more than an address. Who a manager is, TLS decides: one whose certificate is
// of another authority is not talked to. What an answer can do is bounded. Only an address on the networks of the interface that was
// asked counts, so a UE is sent nowhere else; a sender has [MaxOfSender] addresses, and each attempt takes what
// came in another order, a sender's first addresses before any second one. Who forges thousands of senders can still make a UE
// miss its manager; then calls run on the UE, and it asks again at its next attempt. Name the managers that are known in [ue.Addresses] where that matters.
//
// # Cost
//
// A Browser asks when it is called and listens for as long as it waits, on a socket for each interface and family: no port 5353, no group, no cache, and no goroutine
// in between. Answers come to it alone (RFC 6762, section 6.7), so a phone needs no lock for multicast. An Announcer is a goroutine
// for each family, and one that looks at the interfaces every two seconds.
//
// [ue.Addresses]: https://pkg.go.dev/github.com/bungee-xr/bungee/handler/ue#Addresses
package mdns
