/** Starts the bundled server in a folder of its own, and talks to it. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../dist/server.mjs', import.meta.url));

export const OWNER = { email: 'owner@example.com', password: 'owner-password' };
export const SUPER = { email: 'admin@example.com', password: 'admin-password' };
export const CLIENT = { id: '5a6f4c1e-8f0b-4c53-9a3e-2f1d7b9c0a11', secret: 'client-secret' };

export interface Answer {
  status: number;
  body: any;
  headers: Headers;
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'medbots-local-server-'));
}

export function configuration(dataDir: string, extra: object = {}): object {
  const project = { name: 'Clinic', features: ['bots', 'transaction-bundles'], owner: OWNER, client: CLIENT };
  return { port: 0, dataDir, superAdmin: SUPER, projects: [project], logLevel: 'debug', ...extra };
}

export class Running {
  stderr = '';

  private constructor(
    readonly process: ChildProcess,
    readonly baseUrl: string,
    readonly ready: { port: number; pid: number }
  ) {}

  static async start(config: object): Promise<Running> {
    const { child, stderr, line } = launch(config);
    const first = await line;
    if (!first) {
      throw new Error(`The server did not start: ${stderr.join('')}`);
    }
    const ready = JSON.parse(first);
    const server = new Running(child, ready.baseUrl, ready);
    server.stderr = stderr.join('');
    child.stderr?.on('data', (data) => (server.stderr += String(data)));
    return server;
  }

  /** Resolves to the exit code, or to the signal that ended it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    const ended = new Promise<number | string | null>((resolve) =>
      this.process.once('exit', (code, by) => resolve(code ?? by))
    );
    this.process.kill(signal);
    return ended;
  }

  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(new URL(path, this.baseUrl), {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: parsed(text), headers: response.headers };
  }

  async form(path: string, fields: Record<string, string>): Promise<Answer> {
    return this.request('POST', path, new URLSearchParams(fields).toString(), {
      'content-type': 'application/x-www-form-urlencoded',
    });
  }

  /** Logs in by PKCE and returns a client with the token. */
  async login({ email, password, projectId }: { email: string; password: string; projectId?: string } = OWNER): Promise<Session> {
    const verifier = randomUUID();
    const codeChallenge = createHash('sha256').update(verifier).digest('base64url');
    const login = await this.request('POST', 'auth/login', {
      email,
      password,
      ...(projectId === undefined ? {} : { projectId }),
      scope: 'openid offline',
      codeChallenge,
      codeChallengeMethod: 'S256',
    });
    const token = await this.form('oauth2/token', {
      grant_type: 'authorization_code',
      code: login.body.code,
      code_verifier: verifier,
    });
    return new Session(this, token.body);
  }
}

export class Session {
  constructor(
    readonly server: Running,
    readonly token: any
  ) {}

  get projectId(): string {
    return this.token.project.reference.split('/')[1];
  }

  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.server.request(method, path, body, { authorization: `Bearer ${this.token.access_token}`, ...headers });
  }

  async create(resource: { resourceType: string; [key: string]: unknown }): Promise<any> {
    const answer = await this.request('POST', `fhir/R4/${resource.resourceType}`, resource);
    if (answer.status !== 201) {
      throw new Error(JSON.stringify(answer.body));
    }
    return answer.body;
  }

  async bot(code: string): Promise<any> {
    const answer = await this.request('POST', `admin/projects/${this.projectId}/bot`, {
      name: 'Test Bot',
      runtimeVersion: 'vmcontext',
      executableCode: { data: Buffer.from(code).toString('base64') },
    });
    return answer.body;
  }

  /** Runs the bot's audit search until it finds so many, or two seconds are over. */
  async runs(botId: string, count: number): Promise<any[]> {
    for (let i = 0; ; i++) {
      const found = await this.request('GET', `fhir/R4/AuditEvent?source=Bot/${botId}&_sort=_lastUpdated`);
      const events = (found.body.entry ?? []).map((e: any) => e.resource);
      if (events.length >= count || i === 40) {
        return events;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Starts the program; `line` is its first line on stdout, or undefined when it ends without one. */
export function launch(config: object): {
  child: ChildProcess;
  stderr: string[];
  line: Promise<string | undefined>;
  exit: Promise<number | null>;
} {
  const folder = newFolder();
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  const child = spawn(process.execPath, [PROGRAM, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const stderr: string[] = [];
  child.stderr.on('data', (data) => stderr.push(String(data)));
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  const line = new Promise<string | undefined>((resolve) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += String(data);
      if (text.includes('\n')) {
        resolve(text.split('\n')[0]);
      }
    });
    void exit.then(() => resolve(undefined));
  });
  void line.then(() => rmSync(folder, { recursive: true, force: true }));
  return { child, stderr, line, exit };
}

function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
