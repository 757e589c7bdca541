//! Schools, subjects, grades and teachers.

use super::{Cut, Grade, Page, School, Subject, Teacher};
use crate::store::sql::entity::{grade, school, subject, teacher};
use crate::store::sql::{Database, Error, clock};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};

/// A teacher that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTeacher {
    pub name: String,
    pub sex: String,
    pub title: String,
    pub title_id: i64,
    pub detail: String,
}

/// What changes of a teacher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeacherChange {
    pub name: Option<String>,
    pub sex: Option<String>,
    pub title: Option<String>,
    pub title_id: Option<i64>,
    pub detail: Option<String>,
}

/// The newest first, and those with these numbers.
macro_rules! register {
    ($entity:ident, $row:ident, $page:ident, $some:ident) => {
        /// The newest first.
        pub async fn $page(&self, cut: Cut) -> Result<Page<$row>, Error> {
            let read = async {
                let transaction = self.connections.begin().await?;
                let total = $entity::Entity::find().count(&transaction).await?;
                let rows = $entity::Entity::find()
                    .order_by_desc($entity::Column::Id)
                    .offset(cut.skip)
                    .limit(cut.take)
                    .all(&transaction)
                    .await?;
                transaction.commit().await?;
                Ok(Page { rows, total })
            };
            read.await.map_err(|source| self.error(source))
        }

        /// Those with these numbers that there are.
        pub async fn $some(&self, ids: impl IntoIterator<Item = i64>) -> Result<Vec<$row>, Error> {
            let found = $entity::Entity::find()
                .filter($entity::Column::Id.is_in(ids))
                .all(&self.connections)
                .await;
            found.map_err(|source| self.error(source))
        }
    };
}

/// Those with these numbers go; others are passed over.
macro_rules! removal {
    ($entity:ident, $delete:ident) => {
        pub async fn $delete(&self, ids: &[i64]) -> Result<(), Error> {
            let deleted = $entity::Entity::delete_many()
                .filter($entity::Column::Id.is_in(ids.iter().copied()))
                .exec(&self.connections)
                .await;
            deleted.map(drop).map_err(|source| self.error(source))
        }
    };
}

impl Database {
    register!(school, School, schools, schools_of);
    register!(subject, Subject, subjects, subjects_of);
    register!(grade, Grade, grades, grades_of);
    register!(teacher, Teacher, teachers, teachers_of);
    removal!(school, delete_schools);
    removal!(subject, delete_subjects);
    removal!(teacher, delete_teachers);

    pub async fn add_school(&self, name: &str, addr: &str, phone: &str) -> Result<i64, Error> {
        let added = async {
            let now = clock::read(&self.connections).await?;
            let row = school::ActiveModel {
                id: NotSet,
                name: Set(name.to_owned()),
                addr: Set(addr.to_owned()),
                phone: Set(phone.to_owned()),
                created: Set(now),
                updated: Set(now),
            };
            let inserted = school::Entity::insert(row).exec(&self.connections).await?;
            Ok(inserted.last_insert_id)
        };
        added.await.map_err(|source| self.error(source))
    }

    /// Nothing happens when there is none of that number, as for the others here.
    pub async fn change_school(
        &self,
        id: i64,
        name: &str,
        addr: &str,
        phone: Option<&str>,
    ) -> Result<(), Error> {
        let now = clock::now(self.backend());
        let mut change = school::Entity::update_many()
            .col_expr(school::Column::Name, Expr::value(name))
            .col_expr(school::Column::Addr, Expr::value(addr))
            .col_expr(school::Column::Updated, now)
            .filter(school::Column::Id.eq(id));
        if let Some(phone) = phone {
            change = change.col_expr(school::Column::Phone, Expr::value(phone));
        }
        let changed = change.exec(&self.connections).await;
        changed.map(drop).map_err(|source| self.error(source))
    }

    pub async fn add_subject(&self, name: &str) -> Result<i64, Error> {
        let added = async {
            let now = clock::read(&self.connections).await?;
            let row = subject::ActiveModel {
                id: NotSet,
                name: Set(name.to_owned()),
                created: Set(now),
                updated: Set(now),
            };
            let inserted = subject::Entity::insert(row).exec(&self.connections).await?;
            Ok(inserted.last_insert_id)
        };
        added.await.map_err(|source| self.error(source))
    }

    pub async fn change_subject(&self, id: i64, name: &str) -> Result<(), Error> {
        let changed = subject::Entity::update_many()
            .col_expr(subject::Column::Name, Expr::value(name))
            .col_expr(subject::Column::Updated, clock::now(self.backend()))
            .filter(subject::Column::Id.eq(id))
            .exec(&self.connections)
            .await;
        changed.map(drop).map_err(|source| self.error(source))
    }

    pub async fn add_teacher(&self, teacher: NewTeacher) -> Result<i64, Error> {
        let added = async {
            let now = clock::read(&self.connections).await?;
            let row = teacher::ActiveModel {
                id: NotSet,
                name: Set(teacher.name),
                sex: Set(teacher.sex),
                title: Set(teacher.title),
                title_id: Set(teacher.title_id),
                detail: Set(teacher.detail),
                created: Set(now),
                updated: Set(now),
            };
            let inserted = teacher::Entity::insert(row).exec(&self.connections).await?;
            Ok(inserted.last_insert_id)
        };
        added.await.map_err(|source| self.error(source))
    }

    pub async fn change_teacher(&self, id: i64, change: &TeacherChange) -> Result<(), Error> {
        use teacher::Column;
        let mut update = teacher::Entity::update_many()
            .col_expr(Column::Updated, clock::now(self.backend()))
            .filter(Column::Id.eq(id));
        let texts = [
            (Column::Name, &change.name),
            (Column::Sex, &change.sex),
            (Column::Title, &change.title),
            (Column::Detail, &change.detail),
        ];
        for (column, value) in texts {
            if let Some(value) = value {
                update = update.col_expr(column, Expr::value(value.as_str()));
            }
        }
        if let Some(title_id) = change.title_id {
            update = update.col_expr(Column::TitleId, Expr::value(title_id));
        }
        let changed = update.exec(&self.connections).await;
        changed.map(drop).map_err(|source| self.error(source))
    }
}
