//! Which addresses a file may be fetched from: those of the public internet, and no others.
//!
//! Whoever can make Rend fetch a URL could otherwise make it ask the machine it runs on, its private network, or a cloud's
//! metadata service. The address that is judged must be the one that is connected to: a name is resolved once, and each
//! of its addresses is judged then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A machine of the public internet.
    Public,
    /// Nowhere, or this network.
    Unspecified,
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, or a unique local address.
    Private,
    /// A provider's network behind its translation of addresses.
    Shared,
    /// This link. Cloud metadata services answer here.
    LinkLocal,
    /// Where a cloud answers its machines, at an address that is public by its form.
    Metadata,
    /// Many machines at once.
    Multicast,
    /// Documentation, benchmarks, protocols' own use, tunnels, or not assigned.
    Reserved,
}

/// Judges one address. One that carries an IPv4 address inside is judged by that.
pub fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

/// Whether a file may be fetched from `address`.
pub fn is_public(address: IpAddr) -> bool {
    kind(address) == Kind::Public
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // Azure's machines reach their host here; the address is public by its form.
        [168, 63, 129, 16] => Kind::Metadata,
        // Oracle's and Alibaba's metadata services. Their networks are refused anyway; the reason reads better.
        [192, 0, 0, 192] | [100, 100, 100, 200] => Kind::Metadata,
        [0, ..] => Kind::Unspecified,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        [100, 64..=127, ..] => Kind::Shared,
        [169, 254, ..] => Kind::LinkLocal,
        [224..=239, ..] => Kind::Multicast,
        // Protocol assignments, three networks of documentation, the relays of 6to4, benchmarks, and the last sixteenth.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Reserved,
        [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inside = || kind_of_v4(Ipv4Addr::from((u32::from(g) << 16) | u32::from(h)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if (g, h) == (0, 0) => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0] if (g, h) == (0, 1) => Kind::Loopback,
        // The old form that carried an IPv4 address. Nothing answers there, and some systems connect to what is inside.
        [0, 0, 0, 0, 0, 0] if inside() == Kind::Public => Kind::Reserved,
        [0, 0, 0, 0, 0, 0] => inside(),
        // Mapped; and the well-known prefix of translators.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => inside(),
        // AWS answers its machines here.
        [0xfd00, 0xec2, 0, 0, 0, 0] if (g, h) == (0, 0x254) => Kind::Metadata,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        // Site-local, which was given up, but is still routed in places.
        [0xfec0..=0xfeff, ..] => Kind::Private,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // Inside of the global block: protocols' own use with Teredo, documentation twice, and 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2002, ..] => Kind::Reserved,
        [0x2000..=0x3fff, ..] => Kind::Public,
        // Among them translators of one's own choosing (64:ff9b:1::/48) and discarded packets (100::/64).
        _ => Kind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expect: Kind) {
        for address in addresses {
            assert_eq!(kind(address.parse().unwrap()), expect, "{address}");
        }
    }

    #[test]
    fn only_machines_of_the_public_internet_are_public() {
        check(&["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"], Kind::Public);
        check(&["126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0"], Kind::Public);
        check(&["172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255"], Kind::Public);
        check(&["192.0.1.0", "192.0.3.0", "198.17.255.255", "198.20.0.0", "168.63.129.17"], Kind::Public);
        check(&["2000::", "2001:200::1", "2606:4700:4700::1111", "2a00:1450::1", "3ffe::1"], Kind::Public);
    }

    #[test]
    fn every_special_range_of_ipv4_is_known_to_its_ends() {
        check(&["0.0.0.0", "0.255.255.255"], Kind::Unspecified);
        check(&["127.0.0.0", "127.0.0.1", "127.255.255.255"], Kind::Loopback);
        check(&["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255"], Kind::Private);
        check(&["192.168.0.0", "192.168.255.255"], Kind::Private);
        check(&["100.64.0.0", "100.127.255.255"], Kind::Shared);
        check(&["169.254.0.0", "169.254.169.254", "169.254.255.255"], Kind::LinkLocal);
        check(&["168.63.129.16", "192.0.0.192", "100.100.100.200"], Kind::Metadata);
        check(&["224.0.0.0", "239.255.255.255"], Kind::Multicast);
        check(&["192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255"], Kind::Reserved);
        check(&["192.88.99.0", "192.88.99.255", "198.18.0.0", "198.19.255.255"], Kind::Reserved);
        check(&["198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255"], Kind::Reserved);
        check(&["240.0.0.0", "255.255.255.255"], Kind::Reserved);
    }

    #[test]
    fn every_special_range_of_ipv6_is_known() {
        check(&["::"], Kind::Unspecified);
        check(&["::1"], Kind::Loopback);
        check(&["fc00::", "fdff:ffff::1", "fec0::1", "feff::1"], Kind::Private);
        check(&["fd00:ec2::254"], Kind::Metadata);
        check(&["fe80::", "fe80::1", "febf:ffff::1"], Kind::LinkLocal);
        check(&["ff00::", "ff02::1", "ffff::"], Kind::Multicast);
        check(&["2001::", "2001::1", "2001:1ff::1", "2001:20::1"], Kind::Reserved);
        check(&["2001:db8::", "2001:db8:ffff::1", "3fff::", "3fff:fff::1"], Kind::Reserved);
        check(&["2002::", "2002:7f00:1::", "2002:101:101::1"], Kind::Reserved);
        check(&["100::1", "64:ff9b:1::a00:1", "5f00::1", "4000::", "1::1", "::8.8.8.8"], Kind::Reserved);
    }

    #[test]
    fn an_ipv4_address_inside_of_an_ipv6_one_is_judged_by_itself() {
        check(&["::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::127.0.0.1"], Kind::Loopback);
        check(&["::ffff:10.1.2.3", "64:ff9b::192.168.0.1"], Kind::Private);
        check(&["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"], Kind::LinkLocal);
        check(&["::ffff:100.64.0.1", "64:ff9b::100.64.0.1"], Kind::Shared);
        check(&["::ffff:0.0.0.0"], Kind::Unspecified);
        check(&["::ffff:1.1.1.1", "64:ff9b::1.1.1.1"], Kind::Public);
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_what_it_maps(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            prop_assert_eq!(kind(v4.to_ipv6_mapped().into()), kind(v4.into()));
        }

        #[test]
        fn what_is_public_is_none_of_what_the_standard_library_knows_as_special(bits: u32, wide: u128) {
            let v4 = Ipv4Addr::from(bits);
            if is_public(v4.into()) {
                prop_assert!(!v4.is_private() && !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified());
                prop_assert!(!v4.is_multicast() && !v4.is_broadcast() && !v4.is_documentation());
            }
            let v6 = Ipv6Addr::from(wide);
            if is_public(v6.into()) {
                prop_assert!(!v6.is_unique_local() && !v6.is_loopback() && !v6.is_unicast_link_local());
                prop_assert!(!v6.is_multicast() && !v6.is_unspecified());
            }
        }
    }
}
