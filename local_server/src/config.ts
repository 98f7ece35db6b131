/** The configuration file: JSON, mode 0600, written by whoever starts the server. */
import { readFileSync } from 'node:fs';
import type { Level } from './log.ts';

export interface Account {
  readonly email: string;
  readonly password: string;
  readonly firstName?: string;
  readonly lastName?: string;
}

export interface ProjectConfig {
  readonly name: string;
  readonly features?: string[];
  readonly owner: Account;
  /** The project's default client; id (a UUID) and secret are made up where they are missing. */
  readonly client?: { readonly id?: string; readonly secret?: string };
}

/** Units a minute; -1 switches a limit off. Defaults are the real server's. */
export interface RateLimitConfig {
  readonly requests?: number;
  readonly auth?: number;
  readonly fhir?: number;
}

export interface Config {
  readonly port: number;
  readonly dataDir: string;
  readonly superAdmin: Account;
  readonly projects: ProjectConfig[];
  readonly logLevel: Level;
  readonly rateLimits: RateLimitConfig;
  /** Runtime of a bot that names none. Medplum's own default is `awslambda`, which cannot run here. */
  readonly defaultBotRuntimeVersion: 'awslambda' | 'vmcontext';
}

/** A configuration that cannot be used; the message names the field. */
export class ConfigError extends Error {}

/** @throws ConfigError */
export function readConfig(path: string): Config {
  let data: Record<string, unknown>;
  try {
    data = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch (err) {
    throw new ConfigError(`${path}: ${(err as Error).message}`);
  }
  return {
    port: check(data.port ?? 0, 'port', isPort),
    dataDir: check(data.dataDir, 'dataDir', isText),
    superAdmin: account(data.superAdmin, 'superAdmin'),
    projects: check(data.projects ?? [], 'projects', isList).map((p, i) => project(p, `projects[${i}]`)),
    logLevel: check(data.logLevel ?? 'info', 'logLevel', isLevel),
    rateLimits: check(data.rateLimits ?? {}, 'rateLimits', isRecord) as RateLimitConfig,
    defaultBotRuntimeVersion: check(data.defaultBotRuntimeVersion ?? 'vmcontext', 'defaultBotRuntimeVersion', isRuntime),
  };
}

function check<T>(value: unknown, path: string, is: (value: unknown) => value is T): T {
  if (!is(value)) {
    throw new ConfigError(`${path}: missing or not valid`);
  }
  return value;
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < 65_536;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isLevel(value: unknown): value is Level {
  return ['error', 'warn', 'info', 'debug'].includes(value as string);
}

function isRuntime(value: unknown): value is 'awslambda' | 'vmcontext' {
  return value === 'awslambda' || value === 'vmcontext';
}

function account(value: unknown, path: string): Account {
  const data = check(value, path, isRecord);
  return {
    email: check(data.email, `${path}.email`, isText),
    password: check(data.password, `${path}.password`, isText),
    firstName: data.firstName as string | undefined,
    lastName: data.lastName as string | undefined,
  };
}

function project(value: unknown, path: string): ProjectConfig {
  const data = check(value, path, isRecord);
  return {
    name: check(data.name, `${path}.name`, isText),
    features: check(data.features ?? [], `${path}.features`, isList) as string[],
    owner: account(data.owner, `${path}.owner`),
    client: data.client as ProjectConfig['client'],
  };
}
