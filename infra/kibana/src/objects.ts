/** The versions that these objects are of: Kibana 8.19 brings older ones up to its own, and refuses newer ones. */
const versions = { core: '8.8.0', 'index-pattern': '8.0.0', search: '8.0.0', visualization: '8.5.0', dashboard: '8.9.0' } as const;

const emptySearch = JSON.stringify({ query: { query: '', language: 'kuery' }, filter: [] });

export function dataView({ id, title, time, name }: IndexPattern): SavedObject {
  return object('index-pattern', id, { title, name: `Biz Retail: ${name}`, timeFieldName: time, allowNoIndex: true });
}

/** For Discover. */
export function search({ id, title, description, view, query, columns, order }: Search): SavedObject {
  const source = { query: { query, language: 'kuery' }, filter: [], indexRefName: 'kibanaSavedObjectMeta.searchSourceJSON.index' };
  return object(
    'search',
    id,
    {
      title,
      description,
      columns: [...columns],
      sort: [[view.time, order]],
      grid: {},
      hideChart: order === 'asc',
      kibanaSavedObjectMeta: { searchSourceJSON: JSON.stringify(source) },
    },
    [{ name: source.indexRefName, type: 'index-pattern', id: view.id }],
  );
}

export function visualization({
  id,
  title,
  description,
  spec,
}: {
  id: string;
  title: string;
  description: string;
  spec: object;
}): SavedObject {
  return object('visualization', id, {
    title,
    description,
    version: 1,
    uiStateJSON: '{}',
    visState: JSON.stringify({ title, type: 'vega', aggs: [], params: { spec: JSON.stringify(spec, null, 2) } }),
    kibanaSavedObjectMeta: { searchSourceJSON: emptySearch },
  });
}

/** Two panels a row. */
export function dashboard({ id, title, description, panels }: Dashboard): SavedObject {
  const placed = panels.map((panel, index) => ({
    type: panel.type,
    gridData: { x: (index % 2) * 24, y: Math.floor(index / 2) * 15, w: 24, h: 15, i: String(index + 1) },
    panelIndex: String(index + 1),
    embeddableConfig: {},
    panelRefName: `panel_${index + 1}`,
  }));
  return object(
    'dashboard',
    id,
    {
      title,
      description,
      version: 1,
      timeRestore: true,
      timeFrom: 'now-1h',
      timeTo: 'now',
      refreshInterval: { pause: false, value: 30_000 },
      optionsJSON: JSON.stringify({ useMargins: true, syncColors: false, hidePanelTitles: false }),
      panelsJSON: JSON.stringify(placed),
      kibanaSavedObjectMeta: { searchSourceJSON: emptySearch },
    },
    panels.map((panel, index) => ({ name: `${index + 1}:panel_${index + 1}`, type: panel.type, id: panel.id })),
  );
}

function object(
  type: Exclude<keyof typeof versions, 'core'>,
  id: string,
  attributes: Record<string, unknown>,
  references: SavedObject['references'] = [],
): SavedObject {
  return { id, type, attributes, references, coreMigrationVersion: versions.core, typeMigrationVersion: versions[type] };
}

export interface SavedObject {
  id: string;
  type: string;
  attributes: Record<string, unknown>;
  references: { id: string; type: string; name: string }[];
  coreMigrationVersion: string;
  typeMigrationVersion: string;
}

export interface IndexPattern {
  id: string;
  /** The indexes. */
  title: string;
  /** The field that says when. */
  time: string;
  name: string;
}

export interface Search {
  id: string;
  title: string;
  description: string;
  view: IndexPattern;
  /** In Kibana's query language. */
  query: string;
  columns: readonly string[];
  order: 'asc' | 'desc';
}

export interface Dashboard {
  id: string;
  title: string;
  description: string;
  panels: readonly { type: 'visualization' | 'search'; id: string }[];
}

/** Elasticsearch's, as far as it is used here. */
export type Query = { term: Record<string, string> } | { range: Record<string, { gte: number }> } | { exists: { field: string } };
