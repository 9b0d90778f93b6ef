import type { Contract, MethodModel } from '@biz/protos';
import { everyCompany } from './context.ts';

/** What a method asks of its caller, as the protos say it. */
export type Asks = {
  /** `biz.team.v1.TeamService/CreateTeam`. */
  readonly rpc: string;
  /** `POST /v1/teams`; undefined for what only the fleet calls. */
  readonly route: string | undefined;
  /** Any one is enough; none: services of the fleet alone. */
  readonly roles: readonly string[];
  /** `one`: about one company, chosen when the caller has several. `own`: spans the companies of the caller. */
  readonly companies: 'one' | 'own';
  /** `own`: people of clients may call it, and meet their clients' alone. `none`: it is about the whole company. */
  readonly clients: 'own' | 'none';
};

/** A kind of caller, as the table has it. */
export type CallerKind = {
  readonly name: string;
  readonly type: 'user' | 'service';
  readonly roles: readonly string[];
  /** Of the token; none is chosen beyond the only one. */
  readonly companies: readonly string[];
  readonly clients: readonly string[];
};

/** How a caller fares: `yes`, or the code that it is refused with. What is found, and whether it is the caller's, comes after. */
export type Outcome = 'yes' | 'no_role' | 'no_company' | 'company_required';

const person = (name: string, over: Partial<CallerKind> = {}): CallerKind => ({
  ...{ name, type: 'user' as const, roles: [name], companies: ['a'], clients: [] },
  ...over,
});

/** Kinds of callers: one of company A for each role, and those that stand elsewhere. */
export const callerKinds: readonly CallerKind[] = [
  ...['admin', 'manager', 'auditor', 'dpo', 'user'].map((role) => person(role)),
  person('of a client', { roles: ['manager'], clients: ['x'] }),
  person('two companies', { roles: ['user'], companies: ['a', 'b'] }),
  person('no company', { roles: ['user'], companies: [] }),
  person('platform', { roles: ['auditor', 'dpo'], companies: [everyCompany] }),
  { name: 'service', type: 'service', roles: [], companies: [everyCompany], clients: [] },
];

/** What every method of the contract asks, in the contract's order. */
export function accessTable(contract: Contract): Asks[] {
  return contract.services.flatMap(({ methods }) => methods).map(asksOf);
}

export function asksOf({ path, http, rules }: MethodModel): Asks {
  return {
    rpc: path.slice(1),
    route: http && `${http.verb.toUpperCase()} ${http.path}`,
    roles: rules.roles,
    companies: rules.any_company ? 'own' : 'one',
    clients: rules.any_client ? 'own' : 'none',
  };
}

/** What the table says of a caller and a method. */
export function outcomeOf(asks: Asks, caller: CallerKind): Outcome {
  if (caller.type === 'service') return 'yes';
  const hasRole = asks.roles.some((role) => caller.roles.includes(role));
  const isWithin = caller.clients.length === 0 || asks.clients === 'own';
  if (!hasRole || !isWithin) return 'no_role';
  if (caller.companies.length === 0) return 'no_company';
  return caller.companies.length > 1 && asks.companies === 'one' ? 'company_required' : 'yes';
}

/** The table as docs/access.md has it. */
export function accessMarkdown(contract: Contract): string {
  const heads = ['RPC', 'route', 'roles', 'companies', 'clients', ...callerKinds.map(({ name }) => name)];
  const rows = accessTable(contract).map((asks) => [
    code(asks.rpc.replace(/^biz\.(\w+)\.v1\./, '$1.')),
    asks.route ? code(asks.route) : '–',
    asks.roles.length ? asks.roles.join(', ') : 'services only',
    asks.companies,
    asks.clients,
    ...callerKinds.map((caller) => outcomeOf(asks, caller)),
  ]);
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [intro, line(heads), line(heads.map(() => '---')), ...rows.map(line), ''].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

const intro = `# Who may call what

Written by \`npm run access\` from the protos; lint fails when it is out of date, and the end-to-end tests ask every route in the name of every
kind of caller and compare. Gateway and services decide by the same rules (\`libs/rpc/src/access.ts\`), each for itself.

- **roles**: any one is enough. A person's roles are those of the realm and, once a company is chosen, those of that company (\`company_roles\`).
- **companies**: \`one\`: the call is about one company, the only one of the caller or the one that \`X-Company-Id\` names (400 \`company_required\`
  without); \`own\`: without one chosen it spans the caller's companies. Another company named is 403 \`wrong_company\`; an id of another
  company is 404 as if it did not exist.
- **clients**: a caller whose token lists clients meets, within the company, only what belongs to those clients; what belongs to none is the
  company's own and stays unseen. \`own\`: such callers may call it; \`none\`: it is about the whole company, 403 \`no_role\`. A client that the
  request names and that is not the caller's is 403 \`wrong_client\`; an id of another client is 404. A token without clients is not narrowed.
- **kinds of callers**: \`admin\` … \`user\` are of one company; \`of a client\` is a manager whose token lists a client; \`two companies\` and
  \`no company\` have the role user, and none is chosen; \`platform\` is auditor and dpo of every company; \`service\` is a process of the fleet
  that acts by itself, by its certificate (which processes may call is each service's setting).
- **yes** means let in: what is asked for may still be invalid, missing or somebody else's.
`;
