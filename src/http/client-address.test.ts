import test from 'ava';
import { clientReader } from './client-address.ts';

test('every spelling of an address is one client', (t) => {
  const spellings: Record<string, string[]> = {
    '203.0.113.7': [
      '203.0.113.7',
      '203.0.113.7:567',
      '203.000.113.007',
      '::ffff:203.0.113.7',
      '::FFFF:CB00:7107',
      '0:0:0:0:0:ffff:203.0.113.7',
      '[::ffff:203.0.113.7]:443',
      '64:ff9b::203.0.113.7',
      ' 203.0.113.7 ',
    ],
    '2001:db8::1': [
      '2001:db8::1',
      '2001:DB8::1',
      '2001:0db8:0000:0000:0000:0000:0000:0001',
      '2001:db8:0:0::0001',
      '[2001:db8::1]',
      '[2001:db8::1]:443',
    ],
    'fe80::1': ['fe80::1%eth0', 'FE80::1%2', '[fe80::1%eth0]:80'],
  };
  const clientOf = clientReader(['127.0.0.1']);

  for (const [address, all] of Object.entries(spellings)) {
    for (const spelling of all) t.is(clientOf('127.0.0.1', spelling).address, address, spelling);
  }
  t.is(clientReader([])('::ffff:203.0.113.7', '').address, '203.0.113.7', 'of the connection');
});

test('the network is an IPv4 address, or the first 64 bits of an IPv6 address', (t) => {
  t.is(networkOf('203.0.113.7'), '203.0.113.7');
  t.not(networkOf('203.0.113.7'), networkOf('203.0.113.8'));
  t.is(networkOf('2001:db8:1:2::1'), '2001:db8:1:2::/64');
  t.is(networkOf('2001:db8:1:2:ffff:ffff:ffff:ffff'), '2001:db8:1:2::/64');
  t.not(networkOf('2001:db8:1:3::1'), networkOf('2001:db8:1:2::1'));
});

test('X-Forwarded-For is read from right to left, past trusted proxies, and from no other peer', (t) => {
  const clientOf = clientReader(['10.0.0.0/8', '2001:db8:ffff::/48', '::ffff:192.168.0.0/112']);
  const cases: [string, string, string][] = [
    ['203.0.113.1', '198.51.100.1', '203.0.113.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['10.0.0.1', '198.51.100.2, 198.51.100.1', '198.51.100.1'],
    ['10.0.0.1', '198.51.100.2, 198.51.100.1:80, 10.0.0.2:4711', '198.51.100.1'],
    ['2001:db8:ffff::7', '198.51.100.1, ::ffff:10.0.0.2', '198.51.100.1'],
    ['192.168.3.4', '198.51.100.1', '198.51.100.1'],
    ['::ffff:10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ];

  for (const [peer, forwarded, address] of cases)
    t.is(clientOf(peer, forwarded).address, address, `${peer} ${forwarded}`);
});

test('junk in X-Forwarded-For ends the search at the last trusted proxy', (t) => {
  const clientOf = clientReader(['10.0.0.0/8']);
  const junk = [
    ['unknown', '_hidden', '', 'a b', '1.2.3', '1.2.3.4.5', '256.1.1.1', '0x7f.1', '2130706433'],
    ['[2001:db8::1', '2001:db8::1]', '[]:80', 'for=1.2.3.4', '"1.2.3.4"', '1.2.3.4%0', '١.٢.٣.٤'],
    ['1.2.3.4:port', '::1::', 'localhost', '%', 'x'.repeat(10_000), ':'.repeat(10_000)],
  ].flat();

  for (const entry of junk) {
    t.is(clientOf('10.0.0.1', `198.51.100.1, ${entry}`).address, '10.0.0.1', entry);
    t.is(clientOf('10.0.0.1', `198.51.100.1, ${entry}, 10.0.0.2`).address, '10.0.0.2', entry);
  }
});

test('clients whose connection has closed already are one network', (t) => {
  t.deepEqual(clientReader([])('', ''), { address: '', network: '0.0.0.0' });
});

function networkOf(address: string): string {
  return clientReader([])(address, '').network;
}
