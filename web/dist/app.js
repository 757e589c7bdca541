// The page as a whole: log in, list the cameras, fill the grid, and keep the address bar such that a reload shows the
// same. `?play=<path>&with=flv|ws|hls&grid=1|4|9&token=<access token>` starts playing at once; `play` may be repeated.
// `?recordings=<path>&at=<time>&beside=<path>` shows what was recorded instead.
// `data-state` of <html> says what is going on: login, list, playing or error.

import { CameraList } from './camera-list.js';
import { Details } from './details.js';
import { byId, setText } from './dom.js';
import { Recordings } from './recordings.js';
import { LoginNeeded, Refused, Session } from './session.js';
import { momentNamed } from './spans.js';
import { Tile } from './tile.js';
import { isWay } from './ways.js';

/** @typedef {import('./ways.js').Way} Way */
/** @typedef {import('./session.js').Camera} Camera */

const POLL_MS = 2_000;
const GRIDS = [1, 4, 9];

const session = new Session(document.baseURI, sessionStorage);
const query = new URLSearchParams(location.search);

const page = {
  /** @type {Camera[]} */
  cameras: [],
  /** @type {import('./session.js').Endpoints | null} */
  endpoints: null,
  /** @type {Way | null} null: automatic */
  chosen: wayOf(query.get('with')),
  grid: 1,
  /** Whether recordings are shown, or what cameras see now. */
  past: query.has('recordings'),
  /** @type {'starting' | 'login' | 'main'} */
  view: 'starting',
  started: false,
  /** what keeps the list from being true, or '' */
  trouble: '',
  renderPlanned: false,
};

/** @type {Tile[]} */
const tiles = Array.from({ length: Math.max(...GRIDS) }, (_, index) =>
  new Tile(index + 1, session, {
    changed: renderSoon,
    picked: select,
    audible: (one) => tiles.filter((tile) => tile !== one).forEach((tile) => tile.mute()),
    closed: (tile) => {
      tile.stop();
      keepAddress();
    },
    httpFlvPlayers: () => tiles.filter((tile) => tile.usesHttpFlv).length,
    loginNeeded: showLogin,
  }),
);
let selected = tiles[0];
byId('grid', HTMLElement).append(...tiles.map((tile) => tile.element));

const list = new CameraList(
  { list: byId('cameras', HTMLUListElement), note: byId('list-note', HTMLElement), filter: byId('filter', HTMLInputElement) },
  choose,
);
const details = new Details(byId('details', HTMLElement), session);
const recordings = new Recordings(byId('recordings', HTMLElement), session, {
  changed: renderSoon,
  moved: keepAddress,
  loginNeeded: showLogin,
});

// ---- what to play, and where

/** @param {string | null} text @returns {Way | null} */
function wayOf(text) {
  return isWay(text) ? text : null;
}

/** @param {string} path @returns {Camera | undefined} paths are the same whatever their case */
function cameraOf(path) {
  const wanted = path.replace(/^\/+/, '').toLowerCase();
  return page.cameras.find((camera) => camera.path.replace(/^\/+/, '').toLowerCase() === wanted);
}

function visibleTiles() {
  return tiles.filter((tile) => !tile.element.hidden);
}

/** A click on a camera. @param {string} path */
function choose(path) {
  if (!page.past) playNext(path);
  else recordings.open(cameraOf(path)?.path ?? path.replace(/^\/+/, ''));
}

/** Turns to recordings or back; of the two only what is looked at has connections. @param {boolean} past */
function setPast(past) {
  page.past = past;
  recordings.setShown(past);
  for (const tile of tiles) {
    if (past) tile.pause();
    else tile.resume();
  }
  if (past && recordings.paths.length === 0 && selected.path !== null) choose(selected.path);
  keepAddress();
  render();
}

/** Shows the player that has a camera, else uses a free one, else the selected. @param {string} path */
function playNext(path) {
  const camera = cameraOf(path);
  const there = visibleTiles().find((tile) => tile.path !== null && (tile.path === path || (camera && cameraOf(tile.path) === camera)));
  if (there) {
    select(there);
    if (there.state === 'error') there.resume();
    return;
  }
  const free = selected.path === null ? selected : visibleTiles().find((tile) => tile.path === null);
  const tile = free ?? selected;
  tile.play(path, page.chosen, camera);
  select(tile);
  keepAddress();
}

/** Fills the free players with cameras that are live and not shown yet. */
function playAll() {
  const shown = new Set(tiles.map((tile) => tile.path));
  const waiting = page.cameras.filter((camera) => camera.ready && !shown.has(camera.path));
  for (const tile of visibleTiles().filter((one) => one.path === null)) {
    const camera = waiting.shift();
    if (camera) tile.play(camera.path, page.chosen, camera);
  }
  keepAddress();
}

/** @param {Tile} tile */
function select(tile) {
  selected = tile;
  for (const one of tiles) one.setSelected(one === tile);
  renderSoon();
}

/** @param {number} count */
function setGrid(count) {
  page.grid = count;
  byId('grid', HTMLElement).dataset.count = String(count);
  // The selected player stays, whichever it is.
  const index = tiles.indexOf(selected);
  const keep = index < count ? tiles.slice(0, count) : [...tiles.slice(0, count - 1), selected];
  for (const tile of tiles) {
    tile.element.hidden = !keep.includes(tile);
    if (tile.element.hidden && tile.path !== null) tile.stop();
  }
  for (const radio of document.querySelectorAll('input[name=grid]')) {
    if (radio instanceof HTMLInputElement) radio.checked = radio.value === String(count);
  }
  renderSoon();
}

/** @param {Way | null} way */
function setWay(way) {
  page.chosen = way;
  for (const tile of tiles) {
    if (tile.path !== null) tile.play(tile.path, way, cameraOf(tile.path));
  }
  keepAddress();
}

/** Puts what plays into the address bar, never the token. */
function keepAddress() {
  const url = new URL(location.href);
  url.search = '';
  if (page.past) {
    const [path = '', beside] = recordings.paths;
    url.searchParams.set('recordings', path);
    const at = recordings.atMs;
    if (at !== null) url.searchParams.set('at', new Date(at).toISOString());
    if (beside) url.searchParams.set('beside', beside);
    history.replaceState(null, '', url);
    return;
  }
  if (page.grid !== 1) url.searchParams.set('grid', String(page.grid));
  for (const tile of visibleTiles()) {
    if (tile.path !== null) url.searchParams.append('play', tile.path.replace(/^\/+/, ''));
  }
  if (page.chosen) url.searchParams.set('with', page.chosen);
  history.replaceState(null, '', url);
}

// ---- the server

async function poll() {
  for (;;) {
    if (page.view === 'starting' || (page.view === 'main' && !document.hidden)) await renew();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Asks for the cameras. @returns {Promise<boolean>} false where that needs a login first */
async function renew() {
  try {
    page.endpoints ??= await session.endpoints().catch((error) => {
      // Ports have defaults; that somebody must log in is for the list to find out.
      if (error instanceof LoginNeeded || error instanceof Refused) return null;
      throw error;
    });
    page.cameras = await session.cameras();
    page.trouble = '';
  } catch (error) {
    if (error instanceof LoginNeeded) {
      // Where anybody may watch, a link plays without a login; only the list needs one.
      const watching = page.past ? recordings.paths.length > 0 || query.get('recordings') : page.started ? tiles.some((tile) => tile.path !== null) : query.has('play');
      if (!page.endpoints?.anonymousView || !watching) {
        showLogin();
        return false;
      }
      page.trouble = 'login';
    } else {
      page.trouble = troubleText(error);
    }
  }
  page.view = 'main';
  recordings.setCameras(page.cameras);
  if (!page.started) start();
  for (const tile of tiles) {
    if (tile.path !== null && page.trouble === '') tile.setCamera(cameraOf(tile.path));
  }
  render();
  list.update(page.cameras, playingPaths());
  return true;
}

/** @param {unknown} error */
function troubleText(error) {
  if (error instanceof Refused && error.status === 403) {
    return 'This account may not see the cameras. Log out and log in as somebody who may.';
  }
  if (error instanceof Refused) {
    return `The server could not list the cameras (status ${error.status}). The page tries again; the logs of the media node say more.`;
  }
  return 'The server can\'t be reached. The page tries again every two seconds; pictures that run go on.';
}

/** Once the server has answered: plays what the address asks for. */
function start() {
  page.started = true;
  recordings.setShown(page.past);
  const recorded = query.get('recordings');
  if (page.past) {
    if (recorded) recordings.open(recorded.replace(/^\/+/, ''), { atMs: momentNamed(query.get('at')), beside: query.get('beside') });
    return;
  }
  const paths = query.getAll('play').map((path) => path.trim()).filter((path) => path !== '');
  visibleTiles().slice(0, paths.length).forEach((tile, index) => {
    tile.play(paths[index], page.chosen, cameraOf(paths[index]));
  });
  keepAddress();
}

// ---- logging in and out

function showLogin() {
  if (page.view === 'login') return;
  page.view = 'login';
  for (const tile of tiles) tile.pause();
  recordings.setShown(false);
  render();
  byId('username', HTMLInputElement).focus();
}

/** @param {SubmitEvent} event */
async function submitLogin(event) {
  event.preventDefault();
  const username = byId('username', HTMLInputElement);
  const password = byId('password', HTMLInputElement);
  const problem = byId('login-problem', HTMLElement);
  const button = byId('login-button', HTMLButtonElement);
  button.disabled = true;
  setText(problem, '');
  try {
    if (await session.login(username.value, password.value)) {
      password.value = '';
      page.endpoints = null;
      const { started } = page;
      const paused = started ? tiles.filter((tile) => tile.path !== null) : [];
      page.view = 'starting';
      if (await renew()) {
        if (!page.past) for (const tile of paused) tile.resume();
        recordings.setShown(page.past);
        if (page.past && started) recordings.resume();
      }
    } else {
      setText(problem, 'This user name and password don\'t fit. The first start of the server printed the administrator\'s password; in a cluster it is in the Secret of the MediaPool.');
      password.select();
    }
  } catch (error) {
    setText(
      problem,
      error instanceof Refused
        ? `The server could not check the login (status ${error.status}).`
        : 'The server can\'t be reached. Check that it runs, then try again.',
    );
  } finally {
    button.disabled = false;
    render();
  }
}

function logOut() {
  session.forget();
  for (const tile of tiles) tile.stop();
  recordings.close();
  page.cameras = [];
  keepAddress();
  showLogin();
}

// ---- rendering

function playingPaths() {
  if (page.past) return new Set(recordings.paths.map((path) => path.toLowerCase()));
  return new Set(visibleTiles().flatMap((tile) => (tile.path === null ? [] : [tile.path.replace(/^\/+/, '').toLowerCase()])));
}

/** Tiles report many small changes at once. */
function renderSoon() {
  if (page.renderPlanned) return;
  page.renderPlanned = true;
  queueMicrotask(() => {
    page.renderPlanned = false;
    render();
  });
}

function render() {
  byId('login', HTMLElement).hidden = page.view !== 'login';
  byId('main', HTMLElement).hidden = page.view !== 'main';
  byId('toolbar', HTMLElement).hidden = page.view !== 'main';
  byId('live', HTMLElement).hidden = page.past;
  for (const element of document.querySelectorAll('.live-only')) element.toggleAttribute('hidden', page.past);
  byId('play-all', HTMLElement).hidden = page.grid === 1 || page.past;
  byId('logout', HTMLElement).hidden = session.token === '';
  byId('login-instead', HTMLElement).hidden = page.trouble !== 'login';
  const trouble = page.trouble === 'login' ? '' : page.trouble;
  const notice = byId('notice', HTMLElement);
  notice.hidden = trouble === '' || page.view !== 'main';
  setText(notice, trouble);
  list.setPlaying(playingPaths());
  details.show(selected, page.endpoints ?? {});
  document.documentElement.dataset.state = state();
}

/** @returns {'login' | 'list' | 'playing' | 'error'} */
function state() {
  if (page.view === 'login') return 'login';
  if (page.past) return page.trouble !== '' && page.trouble !== 'login' && recordings.state !== 'playing' ? 'error' : recordings.state;
  if (tiles.some((tile) => tile.state === 'playing')) return 'playing';
  if (tiles.some((tile) => tile.state === 'error') || (page.trouble !== '' && page.trouble !== 'login')) return 'error';
  return 'list';
}

// ---- start

const token = query.get('token');
if (token) {
  session.adopt(token);
  query.delete('token');
  const url = new URL(location.href);
  url.searchParams.delete('token');
  history.replaceState(null, '', url);
}

const way = byId('way', HTMLSelectElement);
way.value = page.chosen ?? 'auto';
way.addEventListener('change', () => setWay(wayOf(way.value)));
byId('grid-choice', HTMLElement).addEventListener('change', (event) => {
  if (event.target instanceof HTMLInputElement) setGrid(Number(event.target.value));
  keepAddress();
});
byId('view-choice', HTMLElement).addEventListener('change', (event) => {
  if (event.target instanceof HTMLInputElement) setPast(event.target.value === 'recordings');
});
for (const radio of document.querySelectorAll('input[name=view]')) {
  if (radio instanceof HTMLInputElement) radio.checked = (radio.value === 'recordings') === page.past;
}
byId('play-all', HTMLElement).addEventListener('click', playAll);
byId('logout', HTMLElement).addEventListener('click', logOut);
byId('login-instead', HTMLElement).addEventListener('click', showLogin);
byId('login-form', HTMLFormElement).addEventListener('submit', submitLogin);

const asked = Number(query.get('grid'));
const needed = query.getAll('play').length;
setGrid(GRIDS.includes(asked) ? asked : (GRIDS.find((count) => count >= needed) ?? Math.max(...GRIDS)));
select(tiles[0]);
poll();
