// Makes web/dist out of web/src and the two player libraries in node_modules. The result is committed, because
// the Rust build embeds it and must work without Node. Nothing is transpiled or bundled: browsers load the
// modules of src as they are. With --check nothing is written; the command fails where dist isn't what it would be.

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCE = join(WEB, 'src');
const DIST = join(WEB, 'dist');

/** The libraries we ship, and what each carries inside its one file. Versions come from package-lock.json. */
const VENDORED = [
  { name: 'hls.js', file: 'dist/hls.light.min.js', contains: ['eventemitter3', 'url-toolkit', '@svta/cml-id3'] },
  { name: 'mpegts.js', file: 'dist/mpegts.js', contains: ['es6-promise', 'events'] },
];

/** Ways to turn text into HTML or code: none may appear in src, where all data is shown as text. */
const FORBIDDEN = /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|eval\(|new Function)/;

/** Everything dist holds: path inside dist -> bytes. @returns {Promise<Map<string, Buffer>>} */
async function contents() {
  const files = new Map();
  for (const path of await filesBelow(SOURCE)) {
    const bytes = await readFile(join(SOURCE, path));
    const forbidden = FORBIDDEN.exec(bytes.toString());
    if (forbidden) throw new Error(`src/${path} uses ${forbidden[1]}; show data with textContent instead`);
    files.set(path, bytes);
  }

  const lock = JSON.parse(await readFile(join(WEB, 'package-lock.json'), 'utf8'));
  const notice = [
    'Weir\'s web page contains these libraries, unchanged as published on npm.',
    'Their licences are in the files named beside them.',
    '',
  ];
  for (const { name, file, contains } of VENDORED) {
    const { version, license } = await installed(name, lock);
    const target = `vendor/${file.split('/').pop()}`;
    const bytes = await readFile(join(WEB, 'node_modules', name, file));
    files.set(target, bytes);
    notice.push(
      `${name} ${version}`,
      `  file     ${target}`,
      `  sha256   ${createHash('sha256').update(bytes).digest('hex')}`,
      `  licence  ${license}, ${await addLicence(files, name)}`,
    );
    for (const part of contains) {
      const inside = await installed(part, lock);
      notice.push(`  contains ${part} ${inside.version}, ${inside.license}, ${await addLicence(files, part)}`);
    }
    notice.push('');
  }
  files.set('vendor/NOTICE.txt', Buffer.from(notice.join('\n')));
  return files;
}

/** The package.json of a dependency, after making sure that it is the locked version. */
async function installed(name, lock) {
  const path = join(WEB, 'node_modules', name, 'package.json');
  const found = JSON.parse(await readFile(path, 'utf8').catch(() => '{}'));
  const locked = lock.packages[`node_modules/${name}`]?.version;
  if (!locked || found.version !== locked) {
    throw new Error(`${name} is ${found.version ?? 'not installed'}, locked is ${locked}: run "npm ci" in web/ first`);
  }
  return found;
}

async function addLicence(files, name) {
  const target = `vendor/LICENSE.${name.replace(/^@/, '').replace('/', '-')}.txt`;
  files.set(target, await readFile(join(WEB, 'node_modules', name, 'LICENSE')));
  return target;
}

/** Paths of all files below a folder, relative to it, with forward slashes, sorted. */
async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join('/'))
    .sort();
}

async function write(files) {
  await rm(DIST, { recursive: true, force: true });
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(DIST, path)), { recursive: true });
    await writeFile(join(DIST, path), bytes);
  }
}

/** What differs between dist on disk and what it should be, a line each. */
async function differences(files) {
  const lines = [];
  for (const path of await filesBelow(DIST)) {
    if (!files.has(path)) lines.push(`dist/${path} should not be there`);
  }
  for (const [path, bytes] of files) {
    const there = await readFile(join(DIST, path)).catch(() => null);
    if (there === null) lines.push(`dist/${path} is missing`);
    else if (!there.equals(bytes)) lines.push(`dist/${path} is stale`);
  }
  return lines;
}

try {
  const files = await contents();
  if (process.argv.includes('--check')) {
    const lines = await differences(files);
    if (lines.length > 0) throw new Error(`${lines.join('\n')}\nrun "npm run build" in web/ and commit dist`);
  } else {
    await write(files);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
