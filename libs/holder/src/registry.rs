//! The tables in which a service keeps tenants' rows, and what is true of each.

/// Everything that a service keeps of its tenants: a `static` of its crate, beside its `Schema`.
#[derive(Debug, Clone, Copy)]
pub struct Holding {
    /// The schema.
    pub schema: &'static str,
    /// Its tables, those that refer to others before these: they are erased in this order.
    pub tables: &'static [TenantTable],
    /// Tables of the schema that hold no tenant's data, or lose it in another way, and why.
    pub others: &'static [(&'static str, &'static str)],
}

impl Holding {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&'static TenantTable> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The tables that have a sealed column (ROT-04).
    pub fn sealed(&self) -> impl Iterator<Item = (&'static TenantTable, &'static SealedColumn)> + use<> {
        self.tables
            .iter()
            .filter_map(|table| Some((table, table.sealed.as_ref()?)))
    }

    /// A table's name with its schema, as it stands in receipts, exports and answers.
    pub fn qualified(&self, table: &TenantTable) -> String {
        format!("{}.{}", self.schema, table.name)
    }
}

/// A table with tenants' rows.
#[derive(Debug, Clone, Copy)]
pub struct TenantTable {
    /// Its name, without the schema.
    pub name: &'static str,
    /// How a row says to which workspace it belongs.
    pub owner: RowOwner,
    /// The primary key: the order of an export, and of everything else that goes through all rows.
    pub key: &'static [&'static str],
    /// The column with the id of the person whom a row is about, if there is one (ERA-04).
    pub subject: Option<&'static str>,
    /// The column with the id of a person that an erasure of the person empties, while the row stays (ERA-04).
    pub anonymise: Option<&'static str>,
    /// Columns that no export shows: sealed values, and hashes of secrets.
    pub omit: &'static [&'static str],
    /// The sealed column, if there is one.
    pub sealed: Option<SealedColumn>,
    /// What an erasure and an export do with the rows.
    pub rows: Rows,
}

/// A table to start from: `TenantTable { name: "notes", key: &["id"], ..TENANT_TABLE }`.
pub const TENANT_TABLE: TenantTable = TenantTable {
    name: "",
    owner: RowOwner::Policy,
    key: &[],
    subject: None,
    anonymise: None,
    omit: &[],
    sealed: None,
    rows: Rows::Plain,
};

/// How a row says to which workspace it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOwner {
    /// By `workspace_id`, under the policy.
    Policy,
    /// By `workspace`, in a table without a policy.
    Column,
    /// Through the row of another table of the holding to which it refers, which has a `workspace`.
    Parent {
        /// The column that refers.
        column: &'static str,
        /// The table of the other row.
        table: &'static str,
        /// The column to which it refers.
        key: &'static str,
    },
}

/// What an erasure and an export do with the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Erased and exported.
    Plain,
    /// Erased; an export has them in another table already, or they say nothing to the tenant.
    NotExported,
    /// Parts of objects. They are neither exported nor erased with the other rows, but purged object by object from a
    /// list that the erasure writes (ERA-05).
    Objects,
}

/// A column with sealed values: its type is `causeway.envelope`. The texts are SQL over the columns of the row and give
/// what was authenticated with the value, so that it can be sealed anew.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    /// The column.
    pub column: &'static str,
    /// The column with the version of the data key.
    pub key_version: &'static str,
    /// The version of the row: an integer.
    pub version: &'static str,
    /// Which row it is, as text.
    pub row: &'static str,
    /// The purpose, as text.
    pub purpose: &'static str,
}
