/** Fixed windows of a minute: requests by address, FHIR units by membership and project. */
import { deepClone, OperationOutcomeError, tooManyRequests } from '@medplum/core';
import type { OperationOutcome } from '@medplum/fhirtypes';
import type { RateLimitConfig } from '../config.ts';

const WINDOW_MS = 60_000;
const DEFAULT_REQUESTS = 60_000;
const DEFAULT_AUTH = 160;
const DEFAULT_FHIR = 50_000;
const PROJECT_FACTOR = 10;
const UNLIMITED = -1;
/** FHIR units that an interaction costs. */
const COST = { read: 1, history: 10, search: 20, write: 100 };

interface Window {
  used: number;
  endsAt: number;
}

export interface Spent {
  readonly limit: number;
  readonly remaining: number;
  readonly msBeforeNext: number;
  readonly used: number;
  readonly first: boolean;
}

export class RateLimits {
  private readonly windows = new Map<string, Window>();

  constructor(private readonly config: RateLimitConfig) {}

  /** Takes one request off the address's share; undefined when unlimited. */
  request(ip: string, auth: boolean): Spent | undefined {
    const limit = auth ? (this.config.auth ?? DEFAULT_AUTH) : (this.config.requests ?? DEFAULT_REQUESTS);
    return limit === UNLIMITED ? undefined : this.spend(`${ip}${auth ? ':auth' : ''}`, 1, limit);
  }

  quota(membershipId: string, projectId: string, limits: { user?: number; project?: number; enforced: boolean }): FhirQuota {
    const user = limits.user ?? this.config.fhir ?? DEFAULT_FHIR;
    const project = limits.project ?? (user === UNLIMITED ? UNLIMITED : user * PROJECT_FACTOR);
    return new FhirQuota(this, `m:${membershipId}`, user, `p:${projectId}`, project, limits.enforced);
  }

  spend(key: string, units: number, limit: number): Spent {
    const now = Date.now();
    let window = this.windows.get(key);
    const first = !window || window.endsAt <= now;
    if (!window || first) {
      window = { used: 0, endsAt: now + WINDOW_MS };
      this.windows.set(key, window);
      this.sweep(now);
    }
    window.used += units;
    return {
      limit,
      remaining: Math.max(0, limit - window.used),
      msBeforeNext: window.endsAt - now,
      used: window.used,
      first,
    };
  }

  private sweep(now: number): void {
    if (this.windows.size > 1000) {
      for (const [key, window] of this.windows) {
        if (window.endsAt <= now) {
          this.windows.delete(key);
        }
      }
    }
  }
}

export function exceeded(spent: Spent): boolean {
  return spent.used > spent.limit;
}

/** The outcome of a refusal; its diagnostics tell when to come again. */
export function tooMany(spent: Spent): OperationOutcome {
  const outcome = deepClone(tooManyRequests);
  const issue = outcome.issue[0];
  if (issue) {
    issue.diagnostics = JSON.stringify({
      _remainingPoints: spent.remaining,
      _msBeforeNext: spent.msBeforeNext,
      _consumedPoints: spent.used,
      _isFirstInDuration: spent.first,
      limit: spent.limit,
    });
  }
  return outcome;
}

/** `"requests";r=59999;t=60` */
export function rateLimitHeader(name: string, spent: Spent): string {
  return `"${name}";r=${spent.remaining};t=${Math.ceil(spent.msBeforeNext / 1000)}`;
}

/** The FHIR units of one request's user. Each method throws the 429 outcome when they are used up. */
export class FhirQuota {
  last: Spent | undefined;

  constructor(
    private readonly limits: RateLimits,
    private readonly userKey: string,
    private readonly userLimit: number,
    private readonly projectKey: string,
    private readonly projectLimit: number,
    private readonly enforced: boolean
  ) {}

  read(count = 1): void {
    this.consume(COST.read * Math.max(count, 1));
  }

  history(): void {
    this.consume(COST.history);
  }

  search(count = 1): void {
    this.consume(COST.search * Math.max(count, 1));
  }

  write(): void {
    this.consume(COST.write);
  }

  private consume(units: number): void {
    if (this.userLimit === UNLIMITED) {
      return;
    }
    const user = this.limits.spend(this.userKey, units, this.userLimit);
    this.last = user;
    if (!exceeded(user) && this.projectLimit !== UNLIMITED) {
      const project = this.limits.spend(this.projectKey, units, this.projectLimit);
      this.last = project.remaining < user.remaining ? project : user;
    }
    if (exceeded(this.last) && this.enforced) {
      throw new OperationOutcomeError(tooMany(this.last));
    }
  }
}
