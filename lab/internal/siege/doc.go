// Package siege attacks an edge host: what somebody who has a certificate, or a network
// only, can do to make a host hold, compute or forget what it should not. Each [Attack] is a way of
// its own, named and explained by the function that makes it.
//
// It knows the protocol (internal/wire) and no UE handler: attackers keep no rules.
// "bungee bench siege" has attackers in a process of their own beside quiet tenants, and measures
// what these notice.
package siege
