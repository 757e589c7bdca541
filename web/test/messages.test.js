import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain, worthRetrying } from '../src/messages.js';

const camera = { name: 'gate', path: 'gate', ready: true };
const tries = (...failures) => failures.map((failure) => ({ way: 'flv', failure }));

test('a camera that is not live explains itself', () => {
  const broken = { ...camera, ready: false, reason: 'AuthFailed', message: 'Correct the Secret "gate".' };
  const { title, advice } = explain(tries({ kind: 'status', status: 404 }), { path: 'gate', camera: broken });
  assert.match(title, /AuthFailed/);
  assert.equal(advice, 'Correct the Secret "gate".');
});

test('a camera without a message still leads somewhere', () => {
  const broken = { ...camera, ready: false };
  const { advice } = explain(tries({ kind: 'timeout' }), { path: 'gate', camera: broken });
  assert.match(advice, /kubectl describe camera gate/);
});

test('an unknown path is not blamed on the network', () => {
  const { title } = explain(tries({ kind: 'network' }, { kind: 'status', status: 404 }), { path: '/nowhere' });
  assert.equal(title, 'There is no stream /nowhere');
});

test('what the account may not do comes before what else failed', () => {
  const { title, advice } = explain(tries({ kind: 'timeout' }, { kind: 'status', status: 403 }), { path: 'gate', camera });
  assert.equal(title, 'You may not watch this stream');
  assert.match(advice, /administrator/);
});

test('a missing decoder points to another player, and is not tried again', () => {
  const one = tries({ kind: 'codec' });
  const { title, advice } = explain(one, { path: 'roof', codec: 'H265', camera });
  assert.match(title, /H\.265/);
  assert.match(advice, /VLC/);
  assert.equal(worthRetrying(one), false);
  assert.equal(worthRetrying(tries({ kind: 'codec' }, { kind: 'network' })), true);
});

test('every kind of failure has a title and an advice', () => {
  for (const kind of ['network', 'ended', 'timeout', 'stalled', 'codec', 'media', 'browser']) {
    const { title, advice, tries: all } = explain(tries({ kind }), { path: 'gate', camera });
    assert.ok(title && advice && all, kind);
  }
  for (const status of [400, 401, 403, 404, 500, 503]) {
    const { title, advice, tries: all } = explain(tries({ kind: 'status', status }), { path: 'gate', camera });
    assert.ok(title && advice, String(status));
    assert.match(all, new RegExp(`HTTP-FLV: status ${status}`));
  }
});
