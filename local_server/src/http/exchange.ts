/** One HTTP request and its answer. */
import type { WithId } from '@medplum/core';
import { forbidden, isUUID, OperationOutcomeError, unauthorized } from '@medplum/core';
import type { Extension, Login, Project, ProjectMembership, Reference } from '@medplum/fhirtypes';
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App } from '../app.ts';
import type { Repository } from '../fhir/repository.ts';
import type { FhirQuota } from './rateLimits.ts';

/** Who is logged in. */
export interface AuthState {
  readonly login: Login;
  readonly project: WithId<Project>;
  readonly membership: WithId<ProjectMembership>;
  /** The one for whom an administrator acts. */
  onBehalfOf?: Reference;
  onBehalfOfMembership?: WithId<ProjectMembership>;
}

/** What follows a request into the work that it starts. */
export interface Trace {
  readonly requestId: string;
  readonly traceId: string;
}

/** The trace of the request (or of the request behind the job) that is being worked on. */
export const traces = new AsyncLocalStorage<Trace>();

export class Exchange {
  readonly url: URL;
  readonly query: Record<string, string>;
  readonly trace: Trace;
  params: Record<string, string> = {};
  /** Parsed body: object, text, or {} when there is none. */
  body: any = {};
  auth: AuthState | undefined;
  repository: Repository | undefined;
  /** Outcomes name the request, except before it is known who asks. */
  traced = true;
  quota: FhirQuota | undefined;

  constructor(
    readonly app: App,
    readonly req: IncomingMessage,
    readonly res: ServerResponse
  ) {
    this.url = new URL(req.url ?? '/', app.baseUrl);
    this.query = Object.fromEntries(this.url.searchParams);
    this.trace = { requestId: randomUUID(), traceId: this.traceId() ?? randomUUID() };
  }

  get method(): string {
    return this.req.method ?? 'GET';
  }

  header(name: string): string | undefined {
    const value = this.req.headers[name.toLowerCase()];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The content type without its parameters. */
  get mediaType(): string {
    return (this.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  }

  /** The client's address; one proxy before us is believed. */
  get ip(): string {
    const forwarded = this.req.headers['x-forwarded-for'];
    const last = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded)?.split(',').pop()?.trim();
    return last || (this.req.socket.remoteAddress ?? '');
  }

  private traceId(): string | undefined {
    const own = this.header('x-trace-id');
    if (own && isUUID(own)) {
      return own;
    }
    const parent = this.header('traceparent');
    if (parent && /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/i.test(parent)) {
      return parent;
    }
    return undefined;
  }

  /** @throws OperationOutcomeError 401 */
  authenticated(): { auth: AuthState; repo: Repository; membership: WithId<ProjectMembership>; project: WithId<Project> } {
    if (!this.auth || !this.repository) {
      throw new OperationOutcomeError(unauthorized);
    }
    return {
      auth: this.auth,
      repo: this.repository,
      membership: this.auth.onBehalfOfMembership ?? this.auth.membership,
      project: this.auth.project,
    };
  }

  /** @throws OperationOutcomeError 401, or 403 for who administers neither the project nor the server */
  administrator(): ReturnType<Exchange['authenticated']> {
    const who = this.authenticated();
    if (!who.project.superAdmin && !who.membership.admin) {
      throw new OperationOutcomeError(forbidden);
    }
    return who;
  }

  /** @throws OperationOutcomeError 401, 403 */
  superAdministrator(): ReturnType<Exchange['authenticated']> {
    const who = this.authenticated();
    if (!who.project.superAdmin) {
      throw new OperationOutcomeError(forbidden);
    }
    return who;
  }
}

export type Handler = (x: Exchange) => Promise<void> | void;

/** The extension that ties outcomes and audit events to a request. */
export function tracingExtension(trace: Trace | undefined): Extension | undefined {
  return trace
    ? {
        url: 'https://medplum.com/fhir/StructureDefinition/tracing',
        extension: [
          { url: 'requestId', valueId: trace.requestId },
          { url: 'traceId', valueId: trace.traceId },
        ],
      }
    : undefined;
}
