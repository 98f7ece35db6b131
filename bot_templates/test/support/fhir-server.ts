import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { MedplumClient } from '@medplum/core';
import type { AuditEvent, Bundle, OperationOutcome, Resource } from '@medplum/fhirtypes';
import { type Listening, listen } from './http.ts';

interface Answer {
  status: number;
  body: unknown;
  type?: string;
}

/** A user's rights. */
export interface Rights {
  mayRead(resource: Resource): boolean;
  mayCreate(resourceType: string): boolean;
  /** Types that answer 403 whatever is asked. */
  forbidden: string[];
  accessPolicy: unknown;
}

const ALL: Rights = { mayRead: () => true, mayCreate: () => true, forbidden: [], accessPolicy: undefined };

interface StoredBinary {
  type: string;
  content: Buffer;
  delayMs: number;
  securityContext: { reference: string } | undefined;
}

/** As much of a FHIR server as the bots ask for; the access token chooses the rights. */
export class TestFhirServer {
  readonly requests: string[] = [];
  readonly created: Resource[] = [];
  readonly rights = new Map<string, Partial<Rights>>();
  readonly #resources = new Map<string, Resource | 'deleted'>();
  readonly #binaries = new Map<string, StoredBinary>();
  #server: Listening | undefined;

  get url(): string {
    return `${this.#server?.url}/`;
  }

  get audits(): AuditEvent[] {
    return this.created.filter((resource) => resource.resourceType === 'AuditEvent');
  }

  async start(): Promise<this> {
    this.#server = await listen((request, body, response) => {
      void this.#respond(request, body).then((answer) => {
        const raw = Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body);
        response.writeHead(answer.status, { 'Content-Type': answer.type ?? 'application/fhir+json' }).end(raw);
      });
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }

  /** Forgets what was asked and who may do what; what was stored stays. */
  reset(): void {
    this.requests.length = 0;
    this.created.length = 0;
    this.rights.clear();
  }

  /** A client with the rights of a token. */
  client(token = 'bot'): MedplumClient {
    const medplum = new MedplumClient({ baseUrl: this.url, fetch });
    medplum.setAccessToken(token);
    return medplum;
  }

  /** Stores a new version; the clock of versions is `lastUpdated` when it is given. */
  put<T extends Resource>(resource: T): T & { id: string; meta: { versionId: string; lastUpdated: string } } {
    const stored = {
      ...resource,
      id: resource.id ?? randomUUID(),
      meta: {
        ...resource.meta,
        versionId: resource.meta?.versionId ?? randomUUID(),
        lastUpdated: resource.meta?.lastUpdated ?? new Date().toISOString(),
      },
    };
    this.#resources.set(`${stored.resourceType}/${stored.id}`, stored);
    return stored;
  }

  remove(resource: Resource): void {
    this.#resources.set(`${resource.resourceType}/${resource.id}`, 'deleted');
  }

  /** @param keptFor - The reference that is its securityContext. */
  putBinary(type: string, content: Buffer | string, delayMs = 0, keptFor?: string): string {
    const id = randomUUID();
    const securityContext = keptFor === undefined ? undefined : { reference: keptFor };
    this.#binaries.set(id, { type, content: Buffer.from(content as string), delayMs, securityContext });
    return id;
  }

  async #respond(request: IncomingMessage, body: string): Promise<Answer> {
    this.requests.push(`${request.method} ${request.url}`);
    const rights = { ...ALL, ...this.rights.get(String(request.headers.authorization).replace('Bearer ', '')) };
    const url = new URL(request.url ?? '/', this.url);
    if (url.pathname === '/auth/me') {
      return { status: 200, body: { accessPolicy: rights.accessPolicy } };
    }
    const path = url.pathname.replace(/^\/fhir\/R4\/?/, '');
    if (path.startsWith('Binary/')) {
      return this.#binary(path.slice('Binary/'.length), request.headers.accept);
    }
    if (path === 'Bot/$execute') {
      // No bot is deployed here.
      return outcome(404, 'not-found');
    }
    if (request.method === 'POST') {
      return path === ''
        ? this.#batch(JSON.parse(body) as Bundle, rights)
        : this.#create(JSON.parse(body) as Resource, rights);
    }
    return this.#get(path, url.searchParams, rights);
  }

  async #get(path: string, query: URLSearchParams, rights: Rights): Promise<Answer> {
    const [type = '', id] = path.split('/');
    if (rights.forbidden.includes(type)) {
      return outcome(403, 'forbidden');
    }
    if (id === undefined) {
      return { status: 200, body: this.#search(type, query, rights) };
    }
    const found = this.#resources.get(path);
    if (found === 'deleted') {
      return outcome(410, 'deleted');
    }
    return found && rights.mayRead(found) ? { status: 200, body: found } : outcome(404, 'not-found');
  }

  #search(type: string, query: URLSearchParams, rights: Rights): Bundle {
    const ids = query.get('_id')?.split(',');
    const since = query.get('_lastUpdated')?.replace(/^ge/, '');
    const count = Number(query.get('_count') ?? 20);
    const offset = Number(query.get('_offset') ?? 0);
    const matches = [...this.#resources.values()]
      .filter((each) => each !== 'deleted')
      .filter((each) => each.resourceType === type && rights.mayRead(each))
      .filter((each) => !ids || ids.includes(each.id ?? ''))
      .filter((each) => !since || (each.meta?.lastUpdated ?? '') >= since)
      .sort((one, other) => (one.meta?.lastUpdated ?? '').localeCompare(other.meta?.lastUpdated ?? ''));
    const next = new URLSearchParams(query);
    next.set('_offset', String(offset + count));
    return {
      resourceType: 'Bundle',
      type: 'searchset',
      entry: matches.slice(offset, offset + count).map((resource) => ({ resource })),
      // The public address, which need not be the bot's.
      ...(matches.length > offset + count
        ? { link: [{ relation: 'next', url: `https://public.invalid/fhir/R4/${type}?${next}` }] }
        : {}),
    };
  }

  async #batch(bundle: Bundle, rights: Rights): Promise<Answer> {
    const entry = [];
    for (const { request } of bundle.entry ?? []) {
      const url = new URL(request?.url ?? '', 'http://batch/');
      const { status, body } = await this.#get(url.pathname.slice(1), url.searchParams, rights);
      entry.push({ resource: body as Resource, response: { status: String(status) } });
    }
    return { status: 200, body: { resourceType: 'Bundle', type: 'batch-response', entry } };
  }

  #create(resource: Resource, rights: Rights): Answer {
    if (!rights.mayCreate(resource.resourceType)) {
      return outcome(403, 'forbidden');
    }
    this.created.push(resource);
    return { status: 201, body: { ...resource, id: randomUUID() } };
  }

  async #binary(id: string, accept: string | undefined): Promise<Answer> {
    const binary = this.#binaries.get(id);
    if (!binary) {
      return outcome(404, 'not-found');
    }
    if (accept?.startsWith('application/fhir+json')) {
      const { type, securityContext } = binary;
      return { status: 200, body: { resourceType: 'Binary', id, contentType: type, securityContext } };
    }
    await new Promise((resolve) => setTimeout(resolve, binary.delayMs));
    return { status: 200, body: binary.content, type: binary.type };
  }
}

function outcome(status: number, code: OperationOutcome['issue'][0]['code']): Answer {
  return {
    status,
    body: { resourceType: 'OperationOutcome', id: code, issue: [{ severity: 'error', code, details: { text: code } }] },
  };
}
